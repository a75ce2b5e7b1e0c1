"""The harness's own programs for the guest, and the small Linux of the maker VM."""
import hashlib
import subprocess
from pathlib import Path

from . import cpio, debian
from .paths import VM_DIR, cache, program

GUEST_DIR = VM_DIR / "guest"


def compiled(name, directory=GUEST_DIR, flags=()):
    """DIRECTORY/NAME.c as a static program, cached by content."""
    source = directory / (name + ".c")
    digest = hashlib.sha256(source.read_bytes() + (GUEST_DIR / "common.h").read_bytes()).hexdigest()[:12]
    binary = cache("guest", "%s-%s" % (name, digest))
    with debian.locked("guest"):
        if not binary.exists():
            subprocess.run([program("gcc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-format-truncation",
                            "-static", "-s", *flags, "-o", str(binary), str(source)], check=True)
    return binary


def add_stage(tree, standin=True):
    """What the harness brings into every guest, all below /vmtest."""
    tree.directory("vmtest/dev")
    tree.file("vmtest/agent", compiled("agent"), 0o755)
    if standin:
        tree.file("vmtest/standin", compiled("standin"), 0o755)
    tree.file("vmtest/busybox", program("busybox"), 0o755)
    applets = subprocess.run([program("busybox"), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        tree.link("vmtest/bin/" + applet, "/vmtest/busybox")
    for name, major, minor in (("null", 1, 3), ("ttyS1", 4, 65), ("ttyS2", 4, 66), ("dm-control", 10, 236)):
        tree.node("vmtest/dev/" + name, "c", major, minor, 0o666)


# What the maker loads; dependencies are followed. crc32c first: libcrc32c needs one of them and does not say so.
MAKER_MODULES = ("crc32c_generic", "crc32c-intel", "virtio_pci", "virtio_scsi", "sd_mod", "dm-mod", "dm-raid", "dm-mirror", "dm-snapshot", "dm-thin-pool",
                 "raid0", "raid1", "raid10", "raid456", "linear", "ext4", "nvme",
                 "ahci", "usb-storage", "uas", "xhci-pci", "virtio_blk", "isofs", "loop", "sr_mod")


def module_closure(kernel, names):
    """Paths (relative to the module directory) of the modules and what they depend on, dependencies first."""
    dependencies, by_name = {}, {}
    for line in (kernel.modules / "modules.dep").read_text(encoding="utf-8").splitlines():
        path, _, rest = line.partition(":")
        dependencies[path] = rest.split()
        by_name[Path(path).name.split(".ko")[0].replace("_", "-")] = path
    order = []

    def add(path):
        for needed in reversed(dependencies[path]):
            if needed not in order:
                order.append(needed)
        if path not in order:
            order.append(path)

    for name in names:
        path = by_name.get(name.replace("_", "-"))
        if path:
            add(path)
    return order


def small_linux(init, modules=MAKER_MODULES):
    """A userland with real mdadm and lvm2 and without udevd; its modules are loaded by insmod, in order."""
    kernel = debian.kernel()
    root, _ = debian.tools()
    tree = cpio.Tree()
    for directory in ("proc", "sys", "dev", "run/lvm", "run/mdadm", "tmp", "mnt", "sbin", "etc/lvm"):
        tree.directory(directory)
    tree.node("dev/console", "c", 5, 1)
    add_stage(tree)
    tree.file("vmtest/fill", compiled("fill"), 0o755)
    tree.link("bin", "vmtest/bin")
    for name in ("mdadm", "lvm", "dmsetup"):
        tree.program("sbin/" + name, root / "sbin" / name, [root])
    for name in ("pvcreate", "vgcreate", "lvcreate", "lvs", "vgs", "pvs", "vgchange", "lvchange", "lvextend", "lvrename",
                 "vgextend", "lvremove", "vgremove", "vgcfgrestore", "lvconvert"):
        tree.link("sbin/" + name, "lvm")
    for name in ("thin_check", "thin_dump", "thin_repair"):
        tree.program("usr/sbin/" + name, (root / "usr/sbin" / name).resolve(), [root])
    tree.program("sbin/mke2fs", program("mke2fs"), [])
    tree.data("etc/mke2fs.conf", "[defaults]\n base_features = sparse_super,large_file,filetype,resize_inode,dir_index,"
              "ext_attr\n blocksize = 1024\n inode_size = 256\n[fs_types]\n ext4 = {\n  features = has_journal,extent,"
              "64bit,metadata_csum\n }\n ext3 = {\n  features = has_journal\n }\n")
    tree.data("etc/mdadm/mdadm.conf", "HOMEHOST <ignore>\n")
    tree.data("etc/lvm/lvm.conf", "activation { udev_sync=0 udev_rules=0 verify_udev_operations=1 monitoring=0 }\n"
              "devices { obtain_device_list_from_udev=0 }\nbackup { backup=0 archive=0 }\n"
              "global { event_activation=0 }\n")
    order = module_closure(kernel, modules)
    for path in order:
        tree.file("modules/" + path, kernel.modules / path, 0o644)
    tree.data("modules/order", "".join("/modules/%s\n" % p for p in order))
    tree.data("init", init, 0o755)
    return tree
