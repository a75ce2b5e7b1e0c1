"""A disk is pulled while gathering and plugged in again: taken down, built again."""
from .common import Medium, gathered, quiet, recipes, medium, stack_case, stack_disks, witness

CASES = []
DISC = medium.disc(recipes.STACK_BACKUP)


def wait_ready(*parts):
    def step(stage):
        def holds(status):
            return all(any(p in t["what"] + t["id"] and t["state"] == "ready" for t in status["things"]) for p in parts)
        stage.wait_status(holds, 60, "%s ready" % (parts,))
    return step


def gone(*parts):
    def step(stage):
        def holds(status):
            return not any(p in t["what"] + t["id"] and t["state"] == "ready" for t in status["things"] for p in parts)
        stage.wait_status(holds, 30, "%s taken down" % (parts,))
    return step


def no_map(name):
    """A step: the kernel has no such dm device any more."""
    def step(stage):
        if not stage.vm.until("! grep -qx %s /sys/block/dm-*/dm/name" % name, 20):
            raise witness.Failed("dm device %s is still there" % name)
    return step


def pull(name):
    def step(stage):
        stage.vm.after(100)
        stage.unplug(name)
    return step


def again(name, milliseconds=500):
    def step(stage):
        stage.vm.after(milliseconds)
        stage.plug(name)
    return step


def elsewhere(name):
    """A step: it comes back in another place than it was."""
    def step(stage):
        stage.vm.after(500)
        stage.plug(name, True)
    return step


# the medium is kept back, so that there is time to pull things before the launch
def pulled_case(name, title, steps, **changes):
    fields = {"medium": Medium(DISC, "usb", late=True), "group": "stack_pulled"}
    fields.update(changes)
    return stack_case(name, title, steps=[gathered, *steps, again("medium", 300)], **fields)


CASES.append(pulled_case("pulled_members", "members of complete arrays and a PV under LVs are pulled, and come back",
                         [wait_ready("root", "da-ta", "span-ning"), pull("a1"), no_map("vg--main-root"),
                          no_map("vg--main-da--ta"), elsewhere("a1"), wait_ready("root", "da-ta"),
                          pull("p0"), no_map("vg--main-home----x"), no_map("vg--main-span--ning"), elsewhere("p0"),
                          wait_ready("home--x", "span-ning"), pull("b0"), no_map("vg--main-span--ning"), again("b0"),
                          wait_ready("span-ning", "da-ta")], wall_limit=400))
CASES.append(pulled_case("pulled_from_incomplete", "a member of an array that is not complete is pulled and comes back",
                         [quiet(1500), pull("a1"), quiet(1000), again("a2", 200), quiet(1500), again("a1")],
                         disks=stack_disks(late=("a2",))))


def medium_taken(stage):
    wait_ready("medium")(stage)


CASES.append(stack_case("pulled_medium", "the medium is pulled after it was taken, and comes back",
                        disks=stack_disks(late=("a1",)), medium=Medium(DISC, "usb"), group="stack_pulled",
                        steps=[gathered, medium_taken, pull("medium"), quiet(1500), again("medium"), medium_taken,
                               again("a1")]))
