"""The journal outlives the machine: on a stick when the power is cut, and on the system that was restored."""
import shutil
import subprocess
from dataclasses import replace

from lab.paths import program

from .common import Disk, Medium, after, gathered, medium, recipes, stack_case, stack_disks, witness
from .nuke import BOUND, nuke_case

CASES = []
STICK = "/vmtest/stick"


def record(stage):
    """A step: the operator mounts a stick and has the journal saved from now on."""
    stage.wait_things(raid5="waiting")
    if not stage.vm.until("[ -b /dev/disk/by-label/RECORDS ]", 30):
        raise witness.Failed("no /dev/disk/by-label/RECORDS")
    # The kernel on its own writes nothing back in this case.
    stage.vm.check("echo 0 > /proc/sys/vm/dirty_writeback_centisecs; echo 80 > /proc/sys/vm/dirty_background_ratio; "
                   "echo 90 > /proc/sys/vm/dirty_ratio")
    stage.vm.check("mkdir -p %s && mount -t ext4 /dev/disk/by-label/RECORDS %s" % (STICK, STICK))
    stage.vm.check("muster record --output %s/boot.jsonl --follow >/vmtest/record.txt 2>&1 & sleep 0.2; "
                   "kill -0 $! || { cat /vmtest/record.txt; false; }" % STICK)


def power_cut(stage):
    """What the daemon had written a second before is on the stick, to the last line."""
    # What comes after muster-init's own sync() at the end of mondorestore is saved by nobody else.
    stage.wait_status(lambda status: status["phase"] == "done", 30, "the end of mondorestore")
    stage.vm.after(500)
    stage.vm.check("muster status >/dev/null; muster explain >/dev/null")
    written = stage.vm.check("cat /run/muster/journal.jsonl")
    stage.vm.after(1000)
    stage.vm.power_off()
    image, saved = stage.directory / "disks" / "stick" / "stick.raw", stage.directory / "saved.jsonl"
    subprocess.run([program("debugfs"), "-R", "dump /boot.jsonl %s" % saved, str(image)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    text = saved.read_text(encoding="utf-8") if saved.exists() else ""
    if '"effect":"run","handler":"launch"' not in written:
        raise witness.Failed("the launch is not in the journal: %r" % written[-500:])
    if not text.startswith(written.rstrip("\n")):
        raise witness.Failed("the stick has %d bytes, which are not the %d of the journal" % (len(text), len(written)))
    shutil.copy(saved, stage.directory / "journal.jsonl")


CASES.append(stack_case(
    "recorded_power_cut", "`muster record --follow` on a stick, a restore, the power is cut: the stick has it all",
    disks=stack_disks(late=("a1",)) + [Disk("stick", "stick", on="usb")], writes=("stick",),
    steps=[gathered, record, after(300, "plug", "a1")],
    expect=[witness.started_once("--compare"), power_cut]))


def kept(stage):
    """The journal lies on the file system that mondorestore made, and ends where the copy was made."""
    if not stage.vm.until("grep -q 'journal is .*on the restored system' /run/muster/journal.jsonl", 30):
        raise witness.Failed("nothing is said of the journal's copy")
    stage.vm.check("mkdir -p /vmtest/restored && mount -t ext2 -o ro /dev/sda1 /vmtest/restored")
    copy = stage.vm.check("cat /vmtest/restored/var/log/muster/journal.jsonl || ls -lR /vmtest/restored")
    journal = stage.vm.check("cat /run/muster/journal.jsonl")
    if '"effect":"follow","handler":"launch"' not in copy or not journal.startswith(copy.rstrip("\n")):
        raise witness.Failed("the copy is not the journal: %d bytes, %r" % (len(copy), copy[:300]))


RESTORED = replace(recipes.NUKE_BACKUP, mountlist="/dev/sda1 / ext2 12288\n/dev/sdb1 /srv ext3 47104\n", wants_lvm="")
CASES.append(nuke_case(
    "nuke_keeps_the_journal", "after a nuke that made a file system the journal is on it",
    medium=Medium(medium.disc(RESTORED)), files=RESTORED.boot_files(),
    words="nuke_mode vmtest.do=format:sda1 " + BOUND, writes=("t0",),
    expect=[witness.started_once("--nuke"), kept]))
