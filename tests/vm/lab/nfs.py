"""An NFS server and its client in one guest, both the kernel's: nfsd on a directory, mounted again through the loopback.

Debian's own programs set it up. They lie below /vmtest/nfs with a loader and libraries of their own: nothing of the
image under test is touched.
"""
import os

from . import cpio, debian, guestkit, initrd
from .paths import BUILD_DIR

PACKAGES = ("nfs-kernel-server", "nfs-common", "libtirpc3", "libtirpc-common", "libwrap0", "libblkid1", "libuuid1", "libmount1",
            "libselinux1", "libpcre2-8-0", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0", "libcom-err2",
            "libkeyutils1")
PROGRAMS = ("usr/sbin/rpc.nfsd", "usr/sbin/rpc.mountd", "usr/sbin/exportfs", "sbin/mount.nfs")
MODULES = ("nfsd", "nfsv4")

HOME = "/vmtest/nfs"
EXPORTED, MOUNTED = "/vmtest/exported", "/vmtest/mounted"


def image():
    """The usual image, with what serve() needs behind it."""
    kernel, (root, _) = debian.kernel(), debian.unpacked("nfs", PACKAGES)
    tree = cpio.Tree()
    for path in PROGRAMS:
        name = os.path.basename(path)
        tree.file("%s/programs/%s" % (HOME, name), root / path, 0o755)
        tree.data("%s/bin/%s" % (HOME, name), "#!/vmtest/busybox sh\nexec %s/lib/ld-linux-x86-64.so.2 --library-path %s/lib "
                  "%s/programs/%s \"$@\"\n" % (HOME, HOME, HOME, name), 0o755)
        for library in cpio.needed_libraries(root / path, [root]):
            tree.file("%s/lib/%s" % (HOME, library.name), library, 0o755)
    tree.file(HOME + "/netconfig", root / "etc/netconfig", 0o644)
    order = guestkit.module_closure(kernel, MODULES)
    for path in order:
        tree.file("%s/%s" % (HOME, path), kernel.modules / path, 0o644)
    tree.data(HOME + "/order", "".join("%s/%s\n" % (HOME, path) for path in order))
    # A process a case: each makes its own, they run side by side.
    whole = BUILD_DIR / ("nfs-%d.img" % os.getpid())
    base = initrd.built(initrd.LEAN).read_bytes()
    whole.write_bytes(base + b"\0" * (-len(base) % 512) + tree.pack())
    return whole


def serve(stage, device):
    """Mounts the device's ext4, exports it and mounts the export: hard, as is usual, so that whoever writes waits for the
    server for ever. (NFSv4 over a session does so with soft, too, for some minutes at least.)"""
    check = stage.vm.check
    check("ifconfig lo up && while read module; do insmod $module 2>/dev/null || grep -q $(basename $module .ko) "
          "/proc/modules || exit 1; done < %s/order" % HOME)
    check("mkdir -p /etc /var/lib/nfs/v4recovery {0} {1} && cp {2}/netconfig /etc/netconfig && "
          "touch /var/lib/nfs/etab /var/lib/nfs/rmtab && mount -t ext4 {3} {0} && chmod 1777 {0} && mount -t nfsd nfsd /proc/fs/nfsd && "
          "echo '{0} *(rw,fsid=0,insecure,no_subtree_check)' > /etc/exports".format(EXPORTED, MOUNTED, HOME, device))
    check("cd {0}/bin && ./exportfs -a && ./rpc.nfsd -p 2049 -N 3 2 && ./rpc.mountd -N 3 && echo Y > /proc/fs/nfsd/v4_end_grace".format(HOME))
    check("%s/bin/mount.nfs 127.0.0.1:/ %s -o vers=4.2,timeo=10,retrans=2" % (HOME, MOUNTED), 120)


def away(stage):
    """The cable is pulled: no packet goes either way."""
    stage.vm.check("ifconfig lo down")


def back(stage):
    stage.vm.check("ifconfig lo up")
