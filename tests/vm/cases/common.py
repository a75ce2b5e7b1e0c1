"""Hardware, files and expectations that several themes share."""
from dataclasses import replace

from lab import medium, recipes, witness
from lab.case import Case
from lab.hotplug import Controller, Disk, Medium

CASES = []

STACK_VOLUMES = ("vg-main/root", "vg-main/da-ta", "vg-main/home--x", "vg-main/span-ning")
STACK_ARRAYS = ("md0", "md1")


def stack_disks(late=(), on=None):
    """The six disks of the stack recipe; late ones come by a step; on: name -> controller or bus."""
    return [Disk(name, "stack", on=(on or {}).get(name, "scsi0"), late=name in late)
            for name in ("a0", "a1", "a2", "b0", "b1", "p0")]


def stack_expectations():
    return [witness.started_once("--compare"), witness.files(*witness.MONDO_FILES, "/etc/raidtab"),
            witness.medium("1", recipes.STACK_BACKUP.serial), witness.arrays(*STACK_ARRAYS),
            witness.volumes(*STACK_VOLUMES), witness.contents(), witness.lvm_content(), witness.hands_off()]


def stack_case(name, title, **changes):
    """Compare against the stack with its medium; the changes replace fields of the case."""
    base = Case(name, title, disks=stack_disks(), medium=Medium(medium.disc(recipes.STACK_BACKUP)),
                files=recipes.STACK_BACKUP.boot_files(), words="compare_mode", hashes=list(STACK_VOLUMES),
                expect=stack_expectations())
    return replace(base, **changes)


def at(milliseconds, what, *names):
    """A step: when the guest's clock shows this, plug or unplug."""
    def step(stage):
        stage.events.append((stage.vm.at(milliseconds), "%s %s" % (what, " ".join(names))))
        for name in names:
            getattr(stage, what)(name)
    return step


def after(milliseconds, what, *names):
    """A step: let this much guest time pass, then plug or unplug."""
    def step(stage):
        stage.events.append((stage.vm.after(milliseconds), "%s %s" % (what, " ".join(names))))
        for name in names:
            getattr(stage, what)(name)
    return step


def quiet(milliseconds):
    """A step: nothing comes for this much guest time, and nothing may be started."""
    def step(stage):
        stage.vm.after(milliseconds, timeout=milliseconds / 1000 * 6 + 60)
        if stage.vm.launched:
            raise witness.Failed("mondorestore was started before everything was there")
    return step


def gathered(stage):
    """A step: the daemon is up and has read /sys once."""
    stage.wait_status(lambda status: status.get("scanned"), 60, "the first scan")


__all__ = ["CASES", "Case", "Controller", "Disk", "Medium", "after", "at", "gathered", "medium", "quiet", "recipes",
           "replace", "stack_case", "stack_disks", "stack_expectations", "witness", "STACK_ARRAYS", "STACK_VOLUMES"]
