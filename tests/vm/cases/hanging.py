"""A disk that does not answer reads: whatever does not need it goes on, and the daemon says which disk it is."""
from .common import Disk, quiet, stack_case, stack_disks, witness

CASES = []


# What the kernel reads before it announces the disk passes; what comes after waits for hours, or at 16 KiB a second.
HANG = {"bps-read": 1, "bps-read-max": 49152}
CRAWL = {"bps-read": 16384, "bps-read-max": 49152}
FREE = {"bps-read": 0, "bps-read-max": 0}  # QEMU leaves alone what is not named


def close_throttle(stage):
    stage.hardware.throttle("x2", HANG)
    stage.plug("x2")


def late_is_said(stage):
    """A step: the daemon has waited its time and says which disk does not answer."""
    def holds(status):
        return any(t["id"].startswith("probe:vd") and t["state"] == "broken" and "does not answer" in t["why"]
                   for t in status["things"])
    stage.wait_status(holds, 40, "the disk that does not answer is named")


CASES.append(stack_case("disk_hangs", "a bystander disk hangs on reads: the restore starts all the same",
                        disks=[*stack_disks(late=("a1", "b1")),
                               Disk("x2", "unused", on="virtio", late=True, slow=True)],
                        words="compare_mode vmtest.hidden=^/dev/vd",
                        steps=[close_throttle, quiet(1500), late_is_said, lambda stage: stage.plug("a1"),
                               lambda stage: stage.plug("b1")]))


def member_hangs(stage):
    """While p0 hangs, the arrays are put together; only what lies on p0 waits."""
    def holds(status):
        state = {t["what"]: t["state"] for t in status["things"]}
        ready = [w for w, s in state.items() if s == "ready"]
        return any("da-ta" in w for w in ready) and any("root" in w for w in ready)
    stage.wait_status(holds, 60, "da-ta and root ready while p0 hangs")
    if stage.vm.launched:
        raise witness.Failed("mondorestore was started although home--x cannot be there")


def slow_stack():
    return [Disk(d.name, d.recipe, on="virtio", late=True, slow=True) if d.name == "p0" else d for d in stack_disks()]


CASES.append(stack_case("member_hangs", "a needed disk crawls, the rest goes on; it answers again, and all is well",
                        disks=slow_stack(),
                        steps=[lambda stage: stage.hardware.throttle("p0", CRAWL),
                               lambda stage: stage.plug("p0"), member_hangs, late_is_said,
                               lambda stage: stage.hardware.throttle("p0", FREE)]))
