"""Who is measured. Each brings a userland (an uncompressed archive without modules) whose /init ends in /sbin/mondorestore."""
import subprocess
from dataclasses import dataclass

from lab import cpio, debian, guestkit, images, initrd
from lab.paths import program

from . import HERE, chroot
from .machine import _made, compiled, modules_tree


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    userland: object                    # arrangement -> path of the archive
    managers: tuple = ()                # the device manager, by the name of its process
    execs_itself: bool = False          # the device manager becomes mondorestore, and leaves its peak to it
    journal: str = ""
    more_words: object = None
    bare_userland: object = None        # the same without what none of the others has, for comparing sizes

    def sizes(self, arrangement):
        """In KiB, packed: the userland, and what of it the others have, too."""
        packed = [image_size(make(arrangement)) / 1024 for make in (self.userland, self.bare_userland) if make]
        return {"image_kb": packed[0], "bare_kb": packed[-1]}

    def words(self, arrangement):
        return self.more_words(arrangement) if self.more_words else ()


def image_size(path):
    """Compressed, as muster-mkinitramfs does it."""
    return len(subprocess.run([program("zstd"), "-q", "-9", "-c", str(path)], stdout=subprocess.PIPE, check=True).stdout)


def _with_modules_folder(tree):
    for name in ("proc", "sys", "dev", "run", "tmp", "sbin", "bin", "etc", "mnt/cdrom", "lib/modules"):
        tree.directory(name)
    tree.node("dev/console", "c", 5, 1)
    return tree


# ---------------------------------------------------------------- muster

def muster(arrangement, options=()):
    """The builder's image, the files of the backup, and the index that it would have made of its modules."""
    base = initrd.built(("--compress", "none", *options), modules=False)
    version = debian.kernel().version
    own = subprocess.run([str(initrd.program_dir() / "muster-modindex"), str(modules_tree()), str(HERE)],
                         stdout=subprocess.PIPE, check=True).stdout

    def make():
        tree = cpio.Tree()
        tree.directory("lib/modules/" + version)
        tree.data("lib/modules/%s/muster.index" % version, own)
        # an image with modules has them here, and a link in /lib/modules
        tree.link("usr/lib/muster/modules/" + version, "/lib/modules/" + version)
        tree.link("usr/lib/muster/lib/modules", "../modules")
        for path, content in arrangement.backup.boot_files().items():
            tree.data(path, content, parents=False)
        content = base.read_bytes()
        return content + b"\0" * (-len(content) % 512) + tree.pack()

    return _made("muster", (base.name, own, arrangement.backup.boot_files()), make)


# ---------------------------------------------------------------- what Debian ships

UDEV_PACKAGES = (*debian.TOOL_PACKAGES, "udev")
# What the initramfs hooks of udev, dmsetup, lvm2 and mdadm copy, and what names a disc by its label.
UDEV_RULES = ("50-firmware.rules", "50-udev-default.rules", "55-dm.rules", "56-lvm.rules", "60-block.rules", "60-cdrom_id.rules",
              "60-persistent-storage.rules", "60-persistent-storage-dm.rules", "63-md-raid-arrays.rules",
              "64-md-raid-assembly.rules", "69-lvm.rules", "73-special-net-names.rules", "75-net-description.rules",
              "80-drivers.rules", "80-net-setup-link.rules", "95-dm-notify.rules")
# lvm without udev makes its nodes itself.
LVM_ALONE = ("activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 }\n"
             "devices { obtain_device_list_from_udev=0 external_device_info_source=\"none\" }\n"
             "backup { backup=0 archive=0 }\n")


def _debian_userland(root):
    """busybox, kmod, blkid, mdadm, lvm2: what both of the following stand on."""
    tree = _with_modules_folder(cpio.Tree())
    tree.file("bin/busybox", program("busybox"), 0o755)
    for applet in ("sh mount umount mkdir mkfifo cat ls ln find grep sed sort xargs sleep mdev read test [ true false "
                   "modprobe").split():
        tree.link("bin/" + applet, "/bin/busybox")
    tree.program("bin/kmod", program("kmod"))
    tree.link("sbin/modprobe", "/bin/kmod")
    tree.link("bin/modprobe", "/bin/kmod")
    tree.program("sbin/blkid", program("blkid"))
    for name in ("mdadm", "lvm", "dmsetup"):
        tree.program("sbin/" + name, root / "sbin" / name, [root])
    for name in ("vgchange", "pvscan", "vgscan", "lvchange", "lvs", "vgs", "pvs"):
        tree.link("sbin/" + name, "lvm")
    tree.file("etc/lvm/lvm.conf", root / "etc/lvm/lvm.conf", 0o644)
    tree.data("etc/mdadm/mdadm.conf", "HOMEHOST <ignore>\n")
    for path in sorted((root / "etc/modprobe.d").glob("*.conf")):
        tree.file("etc/modprobe.d/" + path.name, path, 0o644)
    tree.data("etc/passwd", "root:x:0:0::/:/bin/sh\n")
    tree.data("etc/group", "root:x:0:\ntty:x:5:\ndisk:x:6:\ncdrom:x:24:\n")
    return tree


def udevd(arrangement):
    root, names = debian.unpacked("boot-root", UDEV_PACKAGES)
    script = (HERE / "scripts" / "udevd.init").read_text(encoding="utf-8")

    def make():
        tree = _debian_userland(root)
        tree.program("bin/udevadm", root / "bin/udevadm", [root])
        tree.link("lib/systemd/systemd-udevd", "/bin/udevadm")
        for rules in UDEV_RULES:
            tree.file("lib/udev/rules.d/" + rules, root / "lib/udev/rules.d" / rules, 0o644)
        for helper in ("ata_id", "scsi_id", "cdrom_id"):
            tree.program("lib/udev/" + helper, root / "lib/udev" / helper, [root])
        tree.file("etc/udev/udev.conf", root / "etc/udev/udev.conf", 0o644)
        tree.data("init", script, 0o755)
        return tree.pack()

    return _made("udevd", (names, script, UDEV_RULES), make)


def mdev(arrangement):
    root, names = debian.unpacked("boot-root", UDEV_PACKAGES)
    scripts = {name: (HERE / "scripts" / name).read_text(encoding="utf-8") for name in ("mdev.init", "mdev.conf", "block-event")}

    def make():
        tree = _debian_userland(root)
        tree.data("etc/lvm/lvm.conf", LVM_ALONE)
        tree.data("etc/mdev.conf", scripts["mdev.conf"])
        tree.data("sbin/block-event", scripts["block-event"], 0o755)
        tree.data("init", scripts["mdev.init"], 0o755)
        return tree.pack()

    return _made("mdev", (names, scripts), make)


def _script(name):
    return (HERE / "scripts" / name).read_text(encoding="utf-8")


def initramfs_tools(arrangement):
    """mkinitramfs as it is, and a boot script that waits as its own do."""
    files = {"etc/initramfs-tools/scripts/mondo": (_script("initramfs-tools.mondo"), 0o755)}
    command = "mkinitramfs -o /image.packed $KERNEL; unmkinitramfs /image.packed /image; rm /image.packed"
    return _made("initramfs-tools", (chroot.versions(), files, command, str(modules_tree())), lambda: chroot.build(files, command))


def dracut(arrangement):
    """dracut as it is, and a module that says what must be there and starts mondorestore."""
    folder = "usr/lib/dracut/modules.d/99mondo/"
    files = {folder + name: (_script("dracut/" + name), 0o755)
             for name in ("module-setup.sh", "mondo-finished.sh", "mondo-start.sh")}
    command = ("dracut --no-hostonly --no-compress --force --add 'lvm mdraid mondo' --kver $KERNEL /image.packed >&2; mkdir /image; "
               "cd /image; cpio -i --quiet --no-absolute-filenames </image.packed; rm /image.packed")
    return _made("dracut", (chroot.versions(), files, command, str(modules_tree())), lambda: chroot.build(files, command))


# ---------------------------------------------------------------- the floor

def floor(arrangement):
    kernel, binary = debian.kernel(), compiled("floor", "-pthread")
    made = images.make([arrangement.recipe])[arrangement.recipe.name]
    lines = []
    base = "/lib/modules/%s/" % kernel.version
    # ahci last: inserting it waits for its ports
    hardware = guestkit.module_closure(kernel, ("virtio_pci", "virtio_scsi", "sd_mod", "sr_mod", *(
        ("xhci_pci", "usb_storage") if arrangement.medium == "usb" else ("ahci",))))
    levels = {a["level"] for a in made.manifest["arrays"].values()}
    wanted = ["isofs"] + (["dm_mod"] if arrangement.volumes else []) + [
        {"raid5": "raid456", "raid1": "raid1"}[level] for level in sorted(levels)]
    # libcrc32c asks for one of these by a softdep
    wanted = (["crc32c_generic", "crc32c_intel"] if "raid5" in levels else []) + wanted
    lines += ["first %s%s\n" % (base, path) for path in hardware]
    lines += ["rest %s%s\n" % (base, path) for path in guestkit.module_closure(kernel, wanted)]
    patterns = arrangement.patterns()
    lines.append("medium %s\n" % patterns["medium"])
    if arrangement.target:
        lines.append("wanted %s\n" % patterns[arrangement.target])
    else:
        lines += ["disk %s %s\n" % (name, patterns[name]) for name in arrangement.recipe.disks]
    names = {"md:" + array["uuid"]: "@" + name for name, array in made.manifest["arrays"].items()}
    names.update({"disk:" + name: "@" + name for name in arrangement.recipe.disks})
    for name in sorted(made.manifest["arrays"]):
        members = arrangement.members[name]
        lines.append("array %s %s\n" % (name.removeprefix("md"), " ".join(members)))
    for name, table in sorted(made.manifest["tables"].items()):
        lines.append("map %s %s\n" % (name, table["uuid"]))
        for row in table["table"]:
            start, length, kind, *words = row.split()
            lines.append("row %s %s %s %s\n" % (start, length, kind, " ".join(names.get(w, w) for w in words)))
        lines.append("link %s %s\n" % (name.replace("-", "/", 1), name))
    text = "".join(lines)

    def make():
        tree = _with_modules_folder(cpio.Tree())
        tree.file("init", binary, 0o755)
        tree.data("floor.conf", text)
        return tree.pack()

    return _made("floor", (str(binary), text), make)


CONTENDERS = {c.name: c for c in (
    Contender("muster", "this project", muster, ("musterd",), journal="/run/muster/journal.jsonl",
              bare_userland=lambda arrangement: muster(arrangement, ("--without-thin",))),
    Contender("udevd", "systemd-udevd, mdadm and lvm2 with Debian's rules, `udevadm wait`", udevd, ("systemd-udevd", "udevadm")),
    Contender("initramfs-tools", "mkinitramfs's image, polled once a second as it does for its root", initramfs_tools,
              ("systemd-udevd",), more_words=lambda arrangement: ("boot=mondo",)),
    Contender("dracut", "dracut's image (without systemd), its queue waits for LVs and medium", dracut, ("systemd-udevd",),
              more_words=lambda arrangement: ("root=block:/dev/disk/by-label/MONDO1", "rd.auto=1", "rd.retry=3600")),
    Contender("mdev", "busybox `mdev -d`, a script for block devices, mdadm and lvm2", mdev, ("mdev",)),
    Contender("floor", "knows the answer, makes the kernel calls that cannot be avoided", floor, execs_itself=True),
)}
