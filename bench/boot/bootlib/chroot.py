"""A small Debian in a folder, in which initramfs-tools and dracut build their images as on any Debian machine."""
import os
import shutil
import subprocess

from lab import debian
from lab.paths import StageError, cache, program

from .machine import modules_tree

PACKAGES = ("initramfs-tools", "lvm2", "mdadm", "kmod", "udev", "busybox", "zstd", "dracut-core", "cpio")


def root():
    """Made by debootstrap from where this machine's apt gets its packages."""
    path = cache("boot", "debian-root")
    with debian.locked("boot-debian-root"):
        if not (path / ".complete").exists():
            if os.geteuid() != 0:
                raise StageError("its image is built in a chroot, which takes root")
            try:
                bootstrap = program("debootstrap")
            except StageError:
                raise StageError("debootstrap is not installed: apt-get install debootstrap") from None
            sources = subprocess.run([program("apt-get"), "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)",
                                      "Created-By: Packages"], capture_output=True, text=True).stdout.split("\n")
            words = next((line.split() for line in sources if line.endswith(" main")), None)
            if not words:
                raise StageError("apt has no source with main: apt-get update")
            shutil.rmtree(path, ignore_errors=True)
            log = cache("boot", "debootstrap.log")
            with open(log, "wb") as out:
                result = subprocess.run([bootstrap, "--variant=minbase", "--include=" + ",".join(PACKAGES), words[1], str(path),
                                         words[0]], stdout=out, stderr=subprocess.STDOUT)
            if result.returncode != 0:
                raise StageError("debootstrap failed, see %s" % log)
            (path / ".complete").touch()
    return path


def versions():
    """What the images are made by, for the cache and for the table."""
    return subprocess.run(["dpkg-query", "--admindir", str(root() / "var/lib/dpkg"), "-W", "-f", "${Package} ${Version}\n",
                           *PACKAGES], capture_output=True, text=True, check=True).stdout


def build(files, command):
    """Put files (path -> (content, mode)) there, run a shell command that makes /image (a folder), and pack what it made
    without its modules, instead of which everybody gets the same."""
    base, tree = root(), modules_tree()
    with debian.locked("boot-chroot"):
        modules = base / "usr/lib/modules"
        shutil.rmtree(modules, ignore_errors=True)
        shutil.copytree(tree, modules / tree.name)
        config = "boot/config-" + tree.name
        shutil.copyfile(debian.kernel().root / config, base / config)
        for path, (content, mode) in files.items():
            target = base / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
            target.chmod(mode)
        script = "set -e; rm -rf /image; export PATH=/usr/sbin:/usr/bin:/sbin:/bin KERNEL=%s\n%s\n" % (tree.name, command)
        script += ("cd /image; [ -d lib/modules ]; rm -rf lib/modules/*; find . | LC_ALL=C sort | "
                   "cpio -o -H newc -R 0:0 --quiet >/image.cpio; cd /; rm -rf /image\n")
        result = subprocess.run([program("chroot"), str(base), "/bin/sh", "-c", script], capture_output=True, text=True)
        if result.returncode != 0:
            raise StageError("the image was not made: %s" % (result.stderr or result.stdout).strip()[-2000:])
        content = (base / "image.cpio").read_bytes()
        (base / "image.cpio").unlink()
        return content
