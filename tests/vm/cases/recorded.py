"""The journal outlives the machine: on a stick when the power is cut, and on the system that was restored."""
import shutil
import subprocess
from dataclasses import replace

from lab import nfs
from lab.paths import SOURCE_DIR, StageError, program
from lab.qemu import GuestTimeout

from .common import Disk, Medium, after, gathered, medium, recipes, stack_case, stack_disks, witness
from .nuke import BOUND, nuke_case

CASES = []
STICK = "/vmtest/stick"


def stick(stage):
    """A step: the stick is there, and the kernel on its own writes nothing back."""
    stage.wait_things(raid5="waiting")
    if not stage.vm.until("[ -b /dev/disk/by-label/RECORDS ]", 30):
        raise witness.Failed("no /dev/disk/by-label/RECORDS")
    stage.vm.check("echo 0 > /proc/sys/vm/dirty_writeback_centisecs; echo 80 > /proc/sys/vm/dirty_background_ratio; "
                   "echo 90 > /proc/sys/vm/dirty_ratio")


def record(stage):
    """A step: the operator mounts the stick and has the journal saved from now on."""
    stage.vm.check("mkdir -p %s && mount -t ext4 /dev/disk/by-label/RECORDS %s" % (STICK, STICK))
    stage.vm.check("muster record --output %s/boot.jsonl --follow >/vmtest/record.txt 2>&1 & sleep 0.2; "
                   "kill -0 $! || { cat /vmtest/record.txt; false; }" % STICK)


def replays(path):
    """This very muster does what the recording says."""
    for preset in ("release", "dev"):
        replay = SOURCE_DIR / "build" / preset / "daemon" / "replay" / "muster-replay"
        if replay.is_file():
            done = subprocess.run([str(replay), "replay", str(path)], capture_output=True, text=True)
            if done.returncode != 0:
                raise witness.Failed("%s does not replay: %s" % (path, (done.stdout + done.stderr).strip()[-500:]))
            return
    raise StageError("muster-replay is not built: cmake --build --preset release --target muster-replay")


def on_the_stick(stage, name="boot.jsonl"):
    """A file of the stick, once the machine is off."""
    image, saved = stage.directory / "disks" / "stick" / "stick.raw", stage.directory / ("saved-" + name)
    subprocess.run([program("debugfs"), "-R", "dump /%s %s" % (name, saved), str(image)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not saved.exists():
        raise witness.Failed("the stick has no %s" % name)
    return saved


def to_the_end(stage):
    """The journal a while after mondorestore ended: what comes after muster-init's own sync() is saved by nobody else."""
    stage.wait_status(lambda status: status["phase"] == "done", 30, "the end of mondorestore")
    stage.vm.after(500)
    stage.vm.check("muster status >/dev/null; muster explain >/dev/null")
    return stage.vm.check("cat /run/muster/journal.jsonl")


def power_cut(stage):
    """What the daemon had written a second before is on the stick, to the last line."""
    written = to_the_end(stage)
    stage.vm.after(1000)
    stage.vm.power_off()
    saved = on_the_stick(stage)
    text = saved.read_text(encoding="utf-8")
    if '"effect":"run","handler":"launch"' not in written:
        raise witness.Failed("the launch is not in the journal: %r" % written[-500:])
    if not text.startswith(written.rstrip("\n")):
        raise witness.Failed("the stick has %d bytes, which are not the %d of the journal" % (len(text), len(written)))
    replays(saved)
    shutil.copy(saved, stage.directory / "journal.jsonl")


CASES.append(stack_case(
    "recorded_power_cut", "`muster record --follow` on a stick, a restore, the power is cut: the stick has it all",
    disks=stack_disks(late=("a1",)) + [Disk("stick", "stick", on="usb")], writes=("stick",),
    steps=[gathered, stick, record, after(300, "plug", "a1")],
    expect=[witness.started_once("--compare"), power_cut]))


def serve(stage):
    """A step: the stick is a server's, and its export is mounted."""
    nfs.serve(stage, "/dev/disk/by-label/RECORDS")


def follow(stage, name):
    """`muster record --follow`, in the foreground of a shell of its own; ended() has what came of it."""
    return stage.vm.start("echo $$ > /vmtest/%s.pid; exec muster record --output %s/%s.jsonl --follow" % (name, nfs.MOUNTED, name))


def interrupt(stage, name):
    stage.vm.check("kill -INT $(cat /vmtest/%s.pid)" % name)


def ended(stage, job, status, *said):
    try:
        code, text = stage.vm.result(job, 60)
    except GuestTimeout as error:
        raise witness.Failed("muster record does not end: %s" % error) from error
    if code != status or any(part not in text for part in said) or len(text.strip().splitlines()) != 1:
        raise witness.Failed("muster record: status %d, %r; expected %d and %s" % (code, text, status, said))


def saved_all(stage, name, guest_seconds=15):
    """The server has what the journal has now, and what it has are whole lines of it."""
    stage.vm.check("cat /run/muster/journal.jsonl > /vmtest/now")
    there = "%s/%s.jsonl" % (nfs.EXPORTED, name)
    if not stage.vm.until("cmp -n $(stat -c %%s /vmtest/now) /vmtest/now %s" % there, guest_seconds):
        raise witness.Failed("the server does not have the journal: %s" % stage.vm.run("ls -l %s /vmtest/now" % there)[1])
    stage.vm.check("[ -z \"$(tail -c 1 %s)\" ]" % there)


def save_to_server(stage):
    """A step: what there is, once, and again with all that follows."""
    before = stage.vm.check("cat /run/muster/journal.jsonl")
    stage.vm.check("muster record --output %s/so-far.jsonl" % nfs.MOUNTED)
    there = stage.vm.check("cat %s/so-far.jsonl" % nfs.EXPORTED)
    if not there.startswith(before):
        raise witness.Failed("the server has %d bytes, which are not the %d of the journal" % (len(there), len(before)))
    stage.notes["follow"] = follow(stage, "boot")
    saved_all(stage, "boot")


def full(stage):
    """The server takes some of it and has no room for the rest, which a client is told when it waits for it to be there."""
    stage.vm.check("cd %s && dd if=/dev/zero of=fill bs=1k 2>/dev/null; truncate -s -20k fill; sync" % nfs.EXPORTED)
    job = stage.vm.start("muster record --output %s/full.jsonl" % nfs.MOUNTED)
    ended(stage, job, 1, "/full.jsonl: No space left on device (0 bytes were saved)")
    if stage.vm.check("cat %s/full.jsonl" % nfs.EXPORTED) != "":
        raise witness.Failed("a part of the journal is left, of which nobody knows what it is")
    stage.vm.check("rm %s/fill" % nfs.EXPORTED)


def ends_complete(stage):
    full(stage)
    written = to_the_end(stage)
    stage.vm.after(1000)
    interrupt(stage, "boot")
    ended(stage, stage.notes["follow"], 0, "/boot.jsonl: ", " of 1 journal file")
    stage.vm.power_off()
    for name in ("so-far.jsonl", "boot.jsonl"):
        replays(on_the_stick(stage, name))
    shutil.copy(on_the_stick(stage), stage.directory / "journal.jsonl")
    if not on_the_stick(stage).read_text(encoding="utf-8").startswith(written.rstrip("\n")):
        raise witness.Failed("the server does not have the journal of %d bytes" % len(written))


CASES.append(stack_case(
    "recorded_on_nfs", "`muster record` on a mounted NFS export, once and with --follow: the server has it all",
    disks=stack_disks(late=("a1",)) + [Disk("stick", "stick", on="usb")], writes=("stick",), image=nfs.image,
    steps=[gathered, stick, serve, save_to_server, after(300, "plug", "a1")],
    expect=[witness.started_once("--compare"), ends_complete]))


def server_leaves(stage):
    """A step: two are saving there when it goes."""
    stage.notes["follow"] = [follow(stage, "boot"), follow(stage, "given-up")]
    for name in ("boot", "given-up"):
        saved_all(stage, name)
    nfs.away(stage)
    stage.vm.check("muster explain >/dev/null")


def server_returns(stage):
    """All went on without it. Ctrl-C ends what waits for it; what still waits when it is back has lost nothing."""
    written = to_the_end(stage)
    interrupt(stage, "given-up")
    ended(stage, stage.notes["follow"][1], 1, "/given-up.jsonl: does not answer; not all was saved")
    stage.vm.check("muster status >/dev/null && kill -0 $(cat /vmtest/boot.pid)")
    nfs.back(stage)
    saved_all(stage, "boot", 60)
    # Gone for good: the machine can be restarted nevertheless.
    nfs.away(stage)
    stage.vm.check("muster status >/dev/null; kill -INT 1")
    stage.vm.wait(lambda: not stage.vm.running, 120, "the restart of the machine")
    if not on_the_stick(stage).read_text(encoding="utf-8").startswith(written.rstrip("\n")):
        raise witness.Failed("the server does not have the journal of %d bytes" % len(written))
    for name in ("given-up.jsonl", "boot.jsonl"):
        replays(on_the_stick(stage, name))
    shutil.copy(on_the_stick(stage), stage.directory / "journal.jsonl")


CASES.append(stack_case(
    "recorded_server_away", "the NFS server that `muster record --follow` saves to goes away during the restore, and is back",
    disks=stack_disks(late=("a1",)) + [Disk("stick", "stick", on="usb")], writes=("stick",), image=nfs.image,
    steps=[gathered, stick, serve, server_leaves, after(300, "plug", "a1")],
    expect=[witness.started_once("--compare"), server_returns]))


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
