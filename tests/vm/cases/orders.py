"""The same machine in every order of arrival ends in the same state: everything at boot, and twelve drawn orders."""
import random

from lab import initrd

from .common import Controller, Medium, after, medium, recipes, stack_case, stack_disks, quiet

CASES = []

# b1 hangs on a controller of its own, which arrives as one thing with it.
ITEMS = ("a0", "a1", "a2", "b0", "hba", "p0", "medium")
DISC = medium.disc(recipes.STACK_BACKUP)


def order(seed):
    items = list(ITEMS)
    random.Random(seed).shuffle(items)
    return items


def hotplug_steps(items, gaps):
    """The last one comes when everything else was there for a while: without it nothing may start."""
    return [*(after(gap, "plug", item) for item, gap in zip(items[:-1], gaps)), quiet(4000), after(0, "plug", items[-1])]


def order_case(name, title, items, gaps, as_="usb"):
    return stack_case(name, title, disks=stack_disks(late=("a0", "a1", "a2", "b0", "p0"), on={"b1": "hba"}),
                      controllers=[Controller("hba", late=True)], medium=Medium(DISC, as_, late=True),
                      steps=hotplug_steps(items, gaps), group="stack_" + as_)


CASES.append(stack_case("all_present", "everything is there at boot: RAID5, RAID1, plain PV, medium in the drive",
                        disks=stack_disks(on={"b1": "hba"}), controllers=[Controller("hba")], group="stack_cd",
                        image_options=initrd.FULL, memory=1024))
CASES.append(stack_case("all_present_usb", "everything is there at boot, the medium is a USB stick",
                        disks=stack_disks(on={"b1": "hba"}), controllers=[Controller("hba")],
                        medium=Medium(DISC, "usb"), group="stack_usb"))
for seed in range(1, 9):
    drawn = order(seed)
    spacing = random.Random(seed * 7919)
    CASES.append(order_case("order_%d" % seed, "hot-plug in the order " + " ".join(drawn), drawn,
                            [spacing.choice((0, 40, 150, 400, 900)) for _ in drawn]))
CASES.append(order_case("medium_first", "the medium (a disc) comes first, the disks 2 s later",
                        ["medium"] + [i for i in ITEMS if i != "medium"], [0, 2000, 50, 50, 50, 50, 50], as_="cd"))
CASES.append(order_case("medium_last", "the medium (a disc) comes last", [i for i in ITEMS if i != "medium"] + ["medium"],
                        [0, 50, 50, 50, 50, 50, 2000], as_="cd"))
CASES.append(stack_case("medium_late", "the medium comes 45 s after everything else",
                        medium=Medium(DISC, "usb", late=True), steps=[quiet(45000), after(0, "plug", "medium")],
                        group=""))
