#!/usr/bin/env python3
"""Boots an image with muster-init as PID 1 under a real kernel (QEMU, no KVM) and a stand-in for musterd.

    boot_test.py --builder initramfs/muster-mkinitramfs --bin DIR --client muster-init-client [CASE ..]

The kernel is an unpacked linux-image package with depmod's indexes: $MUSTER_TEST_KERNEL, else the one that tests/vm
fetches. $MUSTER_TEST_ROOT may name an unpacked system that has mdadm and lvm2, where the host has none.
The stand-in is a shell script; what it sees of muster-init is printed by init_client. Each case is a script for the
guest, what the host does meanwhile, and what must appear on the console, in this order.
"""
import argparse
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT = 240  # wall seconds of one case, on a busy machine

PROGRAM = """#!/bin/sh
# the stand-in for mondorestore
echo "PROGRAM args=$*"
echo "PROGRAM tty=$(tty) size=$(stty size) cwd=$(pwd) TERM=$TERM PATH=$PATH"
echo "PROGRAM controlling=$(echo yes 2>/dev/null >/dev/tty && echo yes || echo no) parent=$PPID"
printf 'PROGRAM asks: '
read answer
echo "PROGRAM got [$answer]"
echo 'Execution run ended; result=16384'
exit 3
"""

HEAD = """#!/bin/sh
client() { /test/init_client "$@"; }
G=$MUSTER_GENERATION
echo "MUSTERD generation $G"
"""


class Case:
    def __init__(self, script, expect, keys=(), append="", early=(), musterd=None):
        self.script = script      # of the stand-in for musterd
        # regular expressions that must appear on the console in this order; a list among them may appear beside the
        # others, in its own order: several programs write to one console
        self.expect = expect
        self.keys = list(keys)    # (expression, text or QMP command) to send once it has appeared
        self.append = append
        self.early = early        # more --include arguments: (path in the image, text)
        self.musterd = musterd    # the whole file instead of the script


CASES = {
    # what PID 1 prepares; the kernel's own module requests; a musterd that dies at once is started again
    "boot": Case("""
case $G in
1)
  client state
  echo "SEEN $(awk '{print $2":"$3}' /proc/mounts | sort | tr '\\n' ' ')"
  echo "SEEN helper=$(cat /proc/sys/kernel/modprobe) tmpfile=$(cat /tmp/early/file) link=$(readlink /tmp/early/link)"
  echo "SEEN dirs=$(ls -d /mnt/cdrom /mnt/floppy /mnt/isodir /tmp/isodir /var/log /var/run/muster | tr '\\n' ' ')"
  mount -t iso9660 /dev/null /mnt/cdrom 2>/dev/null
  mknod /tmp/md b 9 127; : < /tmp/md
  echo "SEEN fs=$(grep -c iso9660 /proc/filesystems) md=$(grep -c Personalities /proc/mdstat)"
  modprobe raid456 && echo "SEEN raid456=$(cat /sys/module/raid456/initstate)"
  modprobe dm-mod && lvm version | head -1; mdadm --version 2>&1
  kill -9 $$ ;;
2) client end poweroff; read forever ;;
esac
""", [r"MUSTERD generation 1", r"STATE text= generation=1 console=free phase=idle",
      r"SEEN /:rootfs /dev/pts:devpts /dev/shm:tmpfs /dev:devtmpfs /proc:proc /run:tmpfs /sys:sysfs /tmp:tmpfs",
      r"SEEN helper=/usr/lib/muster/bin/muster-modprobe tmpfile=kept link=file",
      r"SEEN dirs=/mnt/cdrom /mnt/floppy /mnt/isodir /tmp/isodir /var/log /var/run/muster",
      r"SEEN fs=1 md=1", r"SEEN raid456=live", r"LVM version", r"mdadm - v",
      r"muster-init: musterd killed by signal 9; starting it again", r"MUSTERD generation 2",
      r"muster-init: powering off"],
                 early=[("/tmp/early/file", "kept"), ("/tmp/early/link", None)]),

    # launched once, whoever asks; outlives musterd; its result is not lost
    "launch": Case("""
case $G in
1) client await launched launch 1 tok /test/program --nuke; kill -9 $$ ;;
2)
  client launch 1 tok /test/program stale
  client launch 2 other /test/program twice
  client shell
  client await ended state
  client launch 2 third /test/program twice
  client again 2 fourth /bin/false
  client await ended state
  client launch 2 fifth /test/missing
  client again 2 sixth /test/missing; client state
  client end poweroff; read forever ;;
esac
""", [r"MUSTERD generation 1", r"LAUNCHED text= generation=1 console=program phase=running token=tok",
      [r"PROGRAM args=--nuke", r"PROGRAM tty=/dev/pts/0 size=24 80 cwd=/tmp TERM=vt102 PATH=/bin:/usr/bin:/sbin",
       r"PROGRAM controlling=yes parent=1"], r"MUSTERD generation 2",
      r"STALE text= generation=2", r"ALREADY text= generation=2 console=program phase=running token=tok",
      r"REFUSED text=the console belongs to pid \d+ \(tok\)",
      r"PROGRAM got \[typed\]",
      r"(EVENT text=ended|STATE text=) generation=2 console=free phase=exited token=tok \(exited with status 3, result 16384\)",
      r"ALREADY .*phase=exited token=tok", r"LAUNCHED .*token=fourth", r"token=fourth \(exited with status 1, no result",
      r"ALREADY .*token=fourth",
      r"LAUNCHED .*token=sixth", r"(EVENT|STATE) .*phase=failed token=sixth \(could not be executed: No such file"],
                   keys=[(r"REFUSED text=the console", "typed\r")]),

    "result-while-musterd-is-dead": Case("""
case $G in
1) client launch 1 tok /test/program; sync; kill -9 $$ ;;
2|3|4) kill -9 $$ ;;
5) kill -9 $$ ;;
6) client state; client end poweroff; read forever ;;
esac
""", [[r"PROGRAM asks"], r"musterd killed by signal 9 again; next start in 1 s", r"PROGRAM got \[now\]",
      r"MUSTERD generation 6", r"STATE .*phase=exited token=tok \(exited with status 3, result 16384\)"],
                                         keys=[(r"next start in 1 s", "now\r")]),

    "ctrl-alt-del": Case("""
trap 'echo MUSTERD asked to stop; exit 0' TERM
echo READY
read forever < /dev/null
while :; do wait; /bin/busybox timeout 60 tail -f /dev/null & wait; done
""", [r"READY", r"muster-init: rebooting", r"MUSTERD asked to stop"],
                        keys=[(r"READY", ("send-key", {"keys": [{"type": "qcode", "data": k} for k in
                                                                 ("ctrl", "alt", "delete")]}))]),

    # the shell that Mondo offers at the end; leaving it reboots
    "end-shell": Case("""
client await shell-started end shell
read forever < /dev/console2 2>/dev/null; while :; do tail -f /dev/null & wait; done
""", [r"OK text=", r"rescue:/# ", r"SHELL-SAYS /dev/ttyS0 42", r"muster-init: rebooting"],
                      keys=[(r"rescue:/# ", "echo SHELL-SAYS $(tty) $((6*7))\r"), (r"SHELL-SAYS /dev", "exit\r")]),

    "poweroff-command": Case("""
poweroff
while :; do tail -f /dev/null & wait; done
""", [r"muster-init: powering off"]),

    "malformed-requests": Case("""
client raw 'LAUNCH|1|tok'
client raw 'LAUNCH|1|tok|/tmp|9|a|'
client raw 'NONSENSE|'
client raw ''
client state
client end poweroff; read forever
""", [r"REFUSED text=message does not end with a NUL byte", r"REFUSED text=launch request: wrong number of arguments",
      r"REFUSED text=unknown request", r"STATE text="]),

    "restart-on-demand": Case("""
case $G in
1) client restart; while :; do tail -f /dev/null & wait; done ;;
2) client launch 1 late /bin/false; client end poweroff; read forever ;;
esac
""", [[r"OK text= generation=2"], r"MUSTERD generation 2", r"STALE "]),

    # a thread of musterd hangs on a disk: killed, it cannot be reaped, and nobody waits for it
    "hung-musterd": Case("""
case $G in
1)
  modprobe dm-mod
  dmsetup create hung --table '0 2048 error' && dmsetup suspend --nolockfs --noflush hung
  exec /test/hung_daemon /dev/dm-0 ;;
2) client state; client end poweroff; read forever ;;
esac
""", [r"HUNG in the kernel", r"muster-init: musterd dead, but held in the kernel; starting it again",
      r"MUSTERD generation 2", r"STATE text= generation=2", r"muster-init: powering off"]),

    "musterd-cannot-be-executed": Case("", [
        r"muster-init: cannot start /usr/lib/muster/bin/musterd: Exec format error. Here is a shell",
        r"rescue:/# ", r"muster-init: rebooting"],
        musterd="\x7fELF nothing\n", keys=[(r"rescue:/# ", "reboot\r")]),

    "shell-beside-musterd": Case("""
client state
while :; do tail -f /dev/null & wait; done
""", [[r"STATE text= generation=1 console=shell"], r"rescue:/# ", r"muster-init: powering off"],
                                 append="muster.shell", keys=[(r"rescue:/# ", "poweroff\r")]),

    # a bug in muster-init itself: it executes itself again, also twice, and nothing is lost; whoever connects meanwhile
    # is answered, and a musterd that takes the program for ended is refused
    "crash-of-init": Case("""
case $G in
1) client launch 1 tok /test/program; sync; kill -SEGV 1; client end reboot; kill -SEGV 1; client state
   client await ended state
   client end poweroff; read forever ;;
esac
""", [[r"PROGRAM asks"], r"muster-init: internal error", r"muster-init: crashed and was started again",
      r"REFUSED text=pid \d+ \(tok\) still runs generation=1 console=program phase=running token=tok",
      r"muster-init: internal error", r"muster-init: crashed and was started again",
      r"STATE text= generation=1 console=program phase=running token=tok", [r"PROGRAM got \[still\]"],
      r"phase=exited token=tok \(exited with status 3, result 16384\)"],
                          keys=[(r"started again[\s\S]*STATE text=", "still\r")]),

    # what cannot be written down is not started; what cannot be read back counts as started
    "state-is-lost": Case("""
[ -e /tmp/second ] && { client state; client launch $G tok /test/program; poweroff; read forever; }
mkdir /run/muster/init.state.new
client launch 1 tok /test/program
rmdir /run/muster/init.state.new
touch /tmp/second
echo garbage > /run/muster/init.state
kill -SEGV 1
read forever
""", [r"REFUSED text=/run/muster/init.state cannot be written: Is a directory generation=1 console=free phase=idle",
      r"muster-init: crashed and was started again",
      r"cannot read back /run/muster/init.state: .*; taken as if the program ran",
      r"STATE text= generation=1 console=program phase=running token=unknown",
      r"ALREADY .*phase=running token=unknown", r"muster-init: powering off"]),
}


def find_kernel():
    root = os.environ.get("MUSTER_TEST_KERNEL")
    if not root:
        sys.path.insert(0, str(HERE.parent / "vm"))
        from lab import debian  # noqa: the stage of tests/vm fetches it
        return debian.kernel().image, debian.kernel().modules
    images = sorted(Path(root).glob("boot/vmlinuz-*"))
    if not images:
        raise SystemExit("boot_test: no boot/vmlinuz-* below MUSTER_TEST_KERNEL=%s" % root)
    version = images[-1].name.split("-", 1)[1]
    modules = Path(root) / "lib/modules" / version
    return images[-1], modules


def find_root():
    root = os.environ.get("MUSTER_TEST_ROOT")
    if root:
        return root
    if shutil.which("mdadm", path="/sbin:/usr/sbin") and shutil.which("lvm", path="/sbin:/usr/sbin"):
        return "/"
    sys.path.insert(0, str(HERE.parent / "vm"))
    from lab import debian
    return str(debian.tools()[0])


def build_base(args, work, kernel_modules):
    """One image for all cases; what is special to a case is appended to it."""
    bin_dir = work / "bin"
    shutil.rmtree(bin_dir, ignore_errors=True)
    (bin_dir / "rules").mkdir(parents=True)
    for program in ("muster-init", "muster-modprobe", "muster-modindex", "muster-mkcpio", "muster-unpack"):
        (bin_dir / program).symlink_to(Path(args.bin).resolve() / program)
    for program in ("musterd", "muster", "program"):
        (bin_dir / program).write_text(PROGRAM if program == "program" else "#!/bin/sh\n")
        (bin_dir / program).chmod(0o755)
    image = work / "base.img"
    subprocess.run([args.builder, "--modules", str(kernel_modules), "--output", str(image), "--bin", str(bin_dir),
                    "--rules", str(bin_dir / "rules"), "--root", find_root(), "--compress", "none", "--driver", "none",
                    "--driver", "isofs", "--driver", "raid456", "--driver", "dm-mod", "--driver", "loop",
                    "--include", "%s:/test/init_client" % Path(args.client).resolve(),
                    "--include", "%s:/test/hung_daemon" % Path(args.hung).resolve(),
                    "--include", "%s:/test/program" % (bin_dir / "program")], check=True)
    return image


def build(args, work, name, case, base):
    folder = work / (name + ".files")
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in [("/usr/lib/muster/bin/musterd", case.musterd or HEAD + case.script), *case.early]:
        target = folder / path.strip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            target.symlink_to("file")
        else:
            target.write_text(text)
            target.chmod(0o755)
    image = work / (name + ".img")
    with open(image, "wb") as out:
        out.write(base.read_bytes())
        out.flush()
        subprocess.run([str(Path(args.bin) / "muster-mkcpio"), str(folder)], stdout=out, check=True)
    return image


class Guest:
    def __init__(self, kernel, image, append, work, name):
        self.dir = Path(tempfile.mkdtemp(prefix="boot-", dir="/tmp"))
        qmp = self.dir / "qmp"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults",
             "-display", "none", "-no-reboot", "-nic", "none", "-serial", "stdio", "-monitor", "none",
             "-qmp", "unix:%s,server=on,wait=off" % qmp, "-kernel", str(kernel), "-initrd", str(image),
             "-append", "console=ttyS0 quiet loglevel=3 panic=-1 " + append],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.qmp_path = str(qmp)
        self.qmp = None
        self.text = ""
        self.log = open(work / (name + ".console"), "wb")

    def read(self, seconds):
        """False at the end of the machine."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            return True
        data = os.read(self.process.stdout.fileno(), 65536)
        self.log.write(data)
        self.log.flush()
        self.text += data.decode("utf-8", "replace").replace("\r", "")
        return bool(data)

    def send(self, what):
        if isinstance(what, str):
            self.process.stdin.write(what.encode())
            self.process.stdin.flush()
        elif what:
            if not self.qmp:
                self.qmp = socket.socket(socket.AF_UNIX)
                self.qmp.connect(self.qmp_path)
                self.stream = self.qmp.makefile("rw")
                self.stream.readline()
                self.command("qmp_capabilities", {})
            self.command(*what)

    def command(self, name, arguments):
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        while "return" not in json.loads(self.stream.readline()):
            pass

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def first_missing(expect, text):
    at = 0
    for pattern in expect:
        if isinstance(pattern, list):
            missing = first_missing(pattern, text)
            if missing:
                return missing
            continue
        found = re.compile(pattern).search(text, at)
        if not found:
            return pattern
        at = found.end()
    return None


def run(args, work, name, kernel, base):
    case = CASES[name]
    image = build(args, work, name, case, base)
    guest = Guest(kernel, image, case.append, work, name)
    keys = list(case.keys)
    end = time.monotonic() + LIMIT
    at = 0
    try:
        while guest.read(max(0.0, min(1.0, end - time.monotonic()))):
            while keys:
                found = re.compile(keys[0][0]).search(guest.text, at)
                if not found:
                    break
                at = found.end()
                guest.send(keys.pop(0)[1])
            if time.monotonic() > end:
                break
        missing = first_missing(case.expect, guest.text)
        if missing:
            return "not seen on the console (in this order): %s" % missing
        if "Kernel panic" in guest.text:
            return "the kernel panicked"
        if guest.process.poll() is None:
            try:
                guest.process.wait(5)
            except subprocess.TimeoutExpired:
                return "the machine did not end"
        return None
    finally:
        guest.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builder", required=True)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--client", required=True)
    parser.add_argument("--hung", required=True)
    parser.add_argument("--keep", help="folder for images and console logs")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    args = parser.parse_args()
    kernel, modules = find_kernel()
    work = Path(args.keep or tempfile.mkdtemp(prefix="boot-test-"))
    work.mkdir(parents=True, exist_ok=True)
    base = build_base(args, work, modules)
    failed = 0
    for name in args.cases or CASES:
        begin = time.monotonic()
        problem = run(args, work, name, kernel, base)
        print("%s %s (%.0f s)%s" % ("ok  " if not problem else "FAIL", name, time.monotonic() - begin,
                                    ": " + problem if problem else ""), flush=True)
        if problem:
            failed += 1
            sys.stdout.write((work / (name + ".console")).read_text(errors="replace")[-4000:] + "\n")
    if not args.keep:
        shutil.rmtree(work, ignore_errors=True)
    print("%d passed, %d failed" % (len(args.cases or CASES) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
