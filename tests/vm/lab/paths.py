"""Where the stage keeps things, and what it needs from the machine.

Everything made lies under one cache directory (MUSTER_VM_CACHE, else build/vm/cache); what one run of a case leaves
behind lies under build/vm/<case>.  A missing program is an error that names the package, never a skipped case.
"""
import os
import shutil
from pathlib import Path

VM_DIR = Path(__file__).resolve().parent.parent
SOURCE_DIR = VM_DIR.parent.parent
BUILD_DIR = Path(os.environ.get("MUSTER_VM_BUILD", SOURCE_DIR / "build" / "vm"))
CACHE_DIR = Path(os.environ.get("MUSTER_VM_CACHE", BUILD_DIR / "cache"))

# program -> Debian package
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "gcc": "gcc",
    "depmod": "kmod",
    "zstd": "zstd",
    "genisoimage": "genisoimage",
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "busybox": "busybox-static",
}


class StageError(Exception):
    """The stage cannot be set up or the guest broke it; never the verdict on a case."""


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if not found:
        raise StageError("%s is not installed: apt-get install %s" % (name, PROGRAMS.get(name, name)))
    return found


def check_programs():
    missing = []
    for name in PROGRAMS:
        try:
            program(name)
        except StageError as error:
            missing.append(str(error))
    if missing:
        raise StageError("\n".join(missing))


def cache(*parts):
    path = CACHE_DIR.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
