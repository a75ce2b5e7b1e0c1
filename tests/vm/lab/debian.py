"""Debian packages, fetched and unpacked, not installed: the kernel, mdadm, lvm2 and what they link."""
import fcntl
import re
import shutil
import subprocess
from contextlib import contextmanager

from .paths import CACHE_DIR, StageError, cache, program

# Real tools for the maker VM.  Libraries that are not listed here are the host's.
TOOL_PACKAGES = ("mdadm", "lvm2", "dmsetup", "libdevmapper1.02.1", "libdevmapper-event1.02.1", "libaio1",
                 "thin-provisioning-tools", "libedit2", "libbsd0", "libmd0", "libtinfo6", "libudev1")


@contextmanager
def locked(name):
    """One maker at a time, also across processes; the lock ends with the process that holds it."""
    with open(cache("locks", name), "w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _download(package, into):
    into.mkdir(parents=True, exist_ok=True)
    found = sorted(into.glob(package + "_*.deb"))
    if found:
        return found[-1]
    result = subprocess.run([program("apt-get"), "-q", "download", package], cwd=into, capture_output=True, text=True)
    found = sorted(into.glob(package + "_*.deb"))
    if result.returncode != 0 or not found:
        raise StageError("cannot fetch the package %s: %s\n(apt-get update may be needed)"
                         % (package, result.stderr.strip()))
    return found[-1]


def _unpack(deb, root):
    stamp = root / (".unpacked-" + deb.name)
    if not stamp.exists():
        root.mkdir(parents=True, exist_ok=True)
        subprocess.run([program("dpkg-deb"), "-x", str(deb), str(root)], check=True)
        stamp.touch()


def kernel_package():
    """The package that linux-image-amd64 stands for (not 'cloud', which lacks USB and CD)."""
    text = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True).stdout
    names = re.findall(r"Depends: (linux-image-\d\S+)", text)
    if not names:
        raise StageError("apt knows no linux-image-amd64: apt-get update")
    return names[0]


class Kernel:
    """An unpacked kernel package with its module indexes."""

    def __init__(self, root):
        self.root = root
        images = sorted((root / "boot").glob("vmlinuz-*"))
        if not images:
            raise StageError("no vmlinuz below %s" % root)
        self.image = images[-1]
        self.version = self.image.name.split("-", 1)[1]
        self.modules = root / "lib" / "modules" / self.version


def kernel():
    with locked("kernel"):
        root = CACHE_DIR / "kernel"
        if not (root / ".complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            _unpack(_download(kernel_package(), CACHE_DIR / "debs"), root)
            found = Kernel(root)
            subprocess.run([program("depmod"), "-b", str(root), found.version], check=True)
            (root / ".complete").touch()
        return Kernel(root)


def kernel_version():
    """Of the kernel that kernel() gives; nothing is fetched to know it."""
    unpacked = CACHE_DIR / "kernel"
    return Kernel(unpacked).version if (unpacked / ".complete").exists() else kernel_package().removeprefix("linux-image-")


def tools():
    """(root of the unpacked tools, the file names of their packages)."""
    return unpacked("tools", TOOL_PACKAGES)


def unpacked(name, packages):
    """(root of these packages, unpacked together below the cache's NAME; their file names)."""
    with locked(name):
        root = CACHE_DIR / name
        names = []
        for package in packages:
            deb = _download(package, CACHE_DIR / "debs")
            _unpack(deb, root)
            names.append(deb.name)
        return root, names
