"""The stage, without muster: real mdadm and lvm assemble what the maker made, so the witnesses are known to see it."""
from lab import guestkit
from lab.paths import BUILD_DIR

from .common import STACK_ARRAYS, STACK_VOLUMES, after, replace, stack_case, stack_disks, witness

CASES = []

INIT = r"""#!/vmtest/busybox sh
export PATH=/sbin:/usr/sbin:/vmtest/bin TERM=linux
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /run
mkdir -p /run/lvm /run/mdadm /mnt/cdrom; echo 1 > /proc/sys/kernel/printk
while read m; do insmod $m 2>/dev/null; done < /modules/order
seen=" "
until [ -b /dev/sr0 ] && [ "$(lvs --noheadings -o lv_active vg-main 2>/dev/null | grep -c active)" = 4 ]; do
  for s in /sys/block/sd*; do d=${s##*/}; [ -d $s ] || continue
    case $seen in *" $d "*) ;; *) seen="$seen$d "; mdadm -q -I /dev/$d 2>/dev/null;; esac; done
  vgchange -q -ay vg-main 2>/dev/null; sleep 0.2
done
ln -s sr0 /dev/cdrom
exec setsid -c sh -c 'mount -t iso9660 -r /dev/cdrom /mnt/cdrom; /sbin/mondorestore --compare; exec sleep 10000' </dev/ttyS0 >/dev/ttyS0 2>&1
"""


def small_image():
    path = BUILD_DIR / "stage_itself.cpio"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(guestkit.small_linux(INIT).pack())
    return path


CASES.append(replace(
    stack_case("stage_itself", "real mdadm and lvm assemble the maker's disks; every witness agrees",
               disks=stack_disks(late=("a2", "b0", "p0")), image=small_image,
               steps=[after(500, "plug", "p0"), after(300, "plug", "a2"), after(200, "plug", "b0")]),
    expect=[witness.arrays(*STACK_ARRAYS), witness.volumes(*STACK_VOLUMES), witness.contents(),
            witness.medium("1", "vmtest-serial-1")]))
