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


def stands_alone(stage):
    """Every array and LV of the plan is ready although a disk hangs."""
    def holds(status):
        needed = [t for t in status["things"] if t["requirement"]]
        return needed and all(t["state"] == "ready" for t in needed)
    if not stage.vm.launched:
        stage.wait_status(holds, 60, "everything else ready")


CASES.append(stack_case("disk_hangs", "a bystander disk hangs on reads: the restore starts all the same",
                        disks=[*stack_disks(late=("a1", "b1")),
                               Disk("x2", "unused", on="virtio", late=True, slow=True)],
                        words="compare_mode vmtest.hidden=^/dev/vd",
                        steps=[close_throttle, quiet(1500), lambda stage: stage.plug("a1"),
                               lambda stage: stage.plug("b1")], wall_limit=360))


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
                               lambda stage: stage.plug("p0"), member_hangs,
                               lambda stage: stage.hardware.throttle("p0", FREE)], wall_limit=360))
