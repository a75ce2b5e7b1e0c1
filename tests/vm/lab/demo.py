"""initramfs/demo, after installing and building: disks made by real mdadm and lvm2, then a rescue machine to watch."""
import argparse
import random
import sys
import time

from . import case as case_module
from . import images, initrd, medium, paths, recipes, witness
from .hotplug import Controller, Disk, Medium
from .paths import StageError

ITEMS = ("a0", "a1", "a2", "b0", "controller", "p0", "medium")
NAMES = {"a0": "disk a0 (RAID5, slot 0)", "a1": "disk a1 (RAID5, slot 1)", "a2": "disk a2 (RAID5, slot 2)",
         "b0": "disk b0 (RAID1, slot 0)", "controller": "the second controller with disk b1 (RAID1, slot 1)",
         "p0": "disk p0 (a plain physical volume)", "medium": "the USB medium"}


def say(text):
    print("\n==> " + text, flush=True)


def show(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def plug(item, gap):
    def step(stage):
        stage.vm.after(gap)
        say("plugging " + NAMES[item])
        stage.plug("hba" if item == "controller" else item)
        stage.notes["last plugged"] = item
    return step


def last_step(stage):
    """(the uevent before the launch that announced the last thing, nanoseconds from it to the launch)."""
    launch = stage.report["start"]["boottime_ns"]
    stage.notes["launch"] = launch
    last = None
    for line in stage.vm.check("cat /vmtest/uevents").splitlines():
        words = line.split()
        if len(words) >= 4 and words[2] == "block" and words[1].startswith("add@") and int(words[0]) < launch:
            if not words[1].split("/")[-1].startswith(("md", "dm-", "loop")):
                last = (words[1], int(words[0]))
    if last is None:
        raise witness.Failed("no device was announced before the launch")
    stage.notes["event"] = last


def main():
    parser = argparse.ArgumentParser(prog="initramfs/demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 10000,
                        help="the order of arrival is drawn from this number")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    items = list(ITEMS)
    draw.shuffle(items)
    paths.check_programs()
    say("kernel and disks: three members of a RAID5, two of a RAID1, a plain PV; one volume group over all of it")
    images.make([recipes.STACK])
    say("the rescue image")
    initrd.built(initrd.LEAN)
    say("--seed %d draws the order: %s" % (arguments.seed, ", ".join(items)))
    noted = {}
    case = case_module.Case(
        "demo", "the demo",
        disks=[Disk(n, "stack", on="hba" if n == "b1" else "scsi0", late=n != "b1")
               for n in ("a0", "a1", "a2", "b0", "b1", "p0")],
        controllers=[Controller("hba", late=True)],
        medium=Medium(medium.disc(recipes.STACK_BACKUP), "usb", late=True),
        files=recipes.STACK_BACKUP.boot_files(), words="compare_mode vmtest.do=show",
        steps=[plug(item, 2500 if index == 0 else draw.choice((700, 1200, 2000))) for index, item in enumerate(items)],
        expect=[last_step, witness.started_once("--compare"), witness.arrays("md0", "md1"),
                lambda stage: noted.update(stage.notes)],
        wall_limit=400)
    outcome = case_module.run(case, console_sink=show)
    if not outcome["passed"]:
        say("failed: " + outcome["message"])
        return 1
    event, when = noted["event"]
    say("waited for last: %s (uevent %s)" % (NAMES[noted["last plugged"]], event))
    print("    from that event to the start of mondorestore: %.0f ms" % ((noted["launch"] - when) / 1e6))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StageError as error:
        print("demo: %s" % error, file=sys.stderr)
        sys.exit(2)
