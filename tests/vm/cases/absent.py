"""What does not come: nothing is started, and the daemon says what it waits for."""
from .common import Medium, gathered, quiet, stack_case, stack_disks, witness

CASES = []


def member_never_comes(stage):
    """The board and `muster explain` name the array, the slot and the UUID of what is missing."""
    uuid = stage.manifest("arrays")["md0"]["uuid"]
    text = stage.vm.check("muster explain")
    plain = text.replace(":", "").replace("-", "").lower()
    if uuid.replace(":", "") not in plain:
        raise witness.Failed("muster explain does not name the array %s: %r" % (uuid, text))
    if "slot 2" not in text:
        raise witness.Failed("muster explain does not name the missing slot 2: %r" % text)
    for part in ("root", "da-ta"):
        if part not in text:
            raise witness.Failed("muster explain does not lead from %s to its array: %r" % (part, text))
    board = stage.console()
    if "slot 2" not in board or uuid.replace(":", "") not in board.replace(":", "").replace("-", "").lower():
        raise witness.Failed("the board does not name array %s and slot 2: %r" % (uuid, board[-1500:]))


def nothing_started_degraded(stage):
    text = stage.vm.check("cat /proc/mdstat")
    if "UU_" in text or "_UU" in text or "U_U" in text:
        raise witness.Failed("an array runs degraded: %r" % text)


CASES.append(stack_case("member_never_comes", "a2 never comes: no launch, the chain is explained",
                        disks=[d for d in stack_disks() if d.name != "a2"],
                        steps=[gathered, quiet(8000)], launches=False,
                        expect=[member_never_comes, nothing_started_degraded]))


def medium_is_missed(stage):
    status = stage.status()
    missing = [t for t in status["things"] if t["requirement"] and t["state"] != "ready"]
    if not missing or any("medium" not in t["id"] + t["what"] for t in missing):
        raise witness.Failed("not the medium alone is waited for: %s" % missing)
    code, _ = stage.vm.run("muster wait --timeout 1", 60)
    if code == 0:
        raise witness.Failed("muster wait says that everything is there")


CASES.append(stack_case("medium_never_comes", "no medium: everything else is put together, nothing is started",
                        medium=Medium(None, "cd"),
                        steps=[gathered, quiet(6000)], launches=False, expect=[medium_is_missed]))
