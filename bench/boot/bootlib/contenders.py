"""Who is measured. Each brings a userland (an uncompressed archive without modules) whose /init ends in /sbin/mondorestore."""
import subprocess
from dataclasses import dataclass

from lab import cpio, debian, guestkit, images, initrd
from lab.paths import program

from . import HERE
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

def muster(arrangement):
    """The builder's image, the files of the backup, and the index that it would have made of its modules."""
    base = initrd.built(("--compress", "none"), modules=False)
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


# ---------------------------------------------------------------- the floor

def floor(arrangement):
    kernel, binary = debian.kernel(), compiled("floor", "-pthread")
    made = images.make([arrangement.recipe])[arrangement.recipe.name]
    lines = []
    base = "/lib/modules/%s/" % kernel.version
    hardware = guestkit.module_closure(kernel, ("virtio_pci", "virtio_scsi", "ahci", "xhci_pci", "usb_storage", "sd_mod", "sr_mod")
                                       if arrangement.medium == "usb" else
                                       ("virtio_pci", "virtio_scsi", "ahci", "sd_mod", "sr_mod"))
    levels = {a["level"] for a in made.manifest["arrays"].values()}
    wanted = ["isofs"] + (["dm_mod"] if arrangement.volumes else []) + [
        {"raid5": "raid456", "raid1": "raid1"}[level] for level in sorted(levels)]
    # libcrc32c asks for one of these by a softdep
    wanted = (["crc32c_generic", "crc32c_intel"] if "raid5" in levels else []) + wanted
    lines += ["first %s%s\n" % (base, path) for path in hardware]
    lines += ["rest %s%s\n" % (base, path) for path in guestkit.module_closure(kernel, wanted) if path not in hardware]
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
    Contender("muster", "this project", muster, ("musterd",), journal="/run/muster/journal.jsonl"),
    Contender("floor", "knows the answer, makes the kernel calls that cannot be avoided", floor, execs_itself=True),
)}
