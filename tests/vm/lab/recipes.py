"""The disks of all cases, as data. The vocabulary of the scripts is in images.PRELUDE."""
from .images import Recipe
from .medium import Backup, disc

# Three members of a RAID5, two of a RAID1, a plain PV; one VG over all of it, with hyphens in every name.
STACK = Recipe("stack", {"a0": 16, "a1": 16, "a2": 16, "b0": 16, "b1": 16, "p0": 16}, r"""
array 0 --level=5 --raid-devices=3 --chunk=64 --bitmap=none --metadata=1.2 $(D a0 a1 a2)
array 1 --level=1 --raid-devices=2 --bitmap=none --metadata=1.2 $(D b0 b1)
pv /dev/md0 /dev/md1 $(D p0)
vgcreate -q -s 1m vg-main /dev/md0 /dev/md1 $(D p0)
lv -L 4M -n root vg-main /dev/md0
lv -L 4M -i 2 -I 64k -n da-ta vg-main /dev/md0 /dev/md1
lv -L 4M -n home--x vg-main $(D p0)
lv -L 2M -n span-ning vg-main /dev/md1
lvextend -q -L +2M vg-main/span-ning $(D p0)
for l in root da-ta home--x span-ning; do fill /dev/vg-main/$l "lv $l"; content vg-main/$l /dev/vg-main/$l; done
""")

STACK_BACKUP = Backup(
    mountlist="/dev/sda raid raid 16384\n/dev/sdb raid raid 16384\n/dev/sdc raid raid 16384\n"
              "/dev/sdd raid raid 16384\n/dev/sde raid raid 16384\n/dev/sdf lvm lvm 16384\n"
              "/dev/md0 lvm lvm 30720\n/dev/md1 lvm lvm 15360\n"
              "/dev/vg-main/root / ext3 lvm\n/dev/vg-main/da-ta /data ext3 lvm\n"
              "/dev/mapper/vg--main-home----x /home ext3 lvm\n/dev/vg-main/span-ning /span ext3 lvm\n",
    raidtab="raiddev /dev/md0\n    raid-level            5\n    nr-raid-disks         3\n"
            "    persistent-superblock 1\n    chunk-size            64\n"
            "    device                /dev/sda\n    raid-disk             0\n"
            "    device                /dev/sdb\n    raid-disk             1\n"
            "    device                /dev/sdc\n    raid-disk             2\n\n"
            "raiddev /dev/md1\n    raid-level            1\n    nr-raid-disks         2\n"
            "    persistent-superblock 1\n"
            "    device                /dev/sdd\n    raid-disk             0\n"
            "    device                /dev/sde\n    raid-disk             1\n",
    wants_lvm="LVM 2 was found on this machine\n>>>>> /dev/md0 /dev/md1 /dev/sdf\n# lvm vgchange -an\n"
              "# lvm vgscan\n# lvm vgcreate vg-main -s 1m  /dev/md0 /dev/md1 /dev/sdf\n# lvm vgchange -a y vg-main\n"
              "# lvm lvcreate -L 4m -n root vg-main\n# lvm lvcreate -i 2 -L 4m -n da-ta vg-main\n"
              "# lvm lvcreate -L 4m -n home--x vg-main\n# lvm lvcreate -L 4m -n span-ning vg-main\n# lvm vgscan\n")

# Every level, members on partitions; the disks go on four kinds of bus.
# Metadata at the end is aligned down, to 4 KiB (1.0) and to 64 KiB (0.90): two partitions do not end there by chance.
_SECTORS = {7: 8192 + 13, 8: 8192 + 75}
_PARTITIONS = ("label: gpt\nlabel-id: %s\n" +
               "".join("size=%d, name=part%d, uuid=00000000-0000-4000-8000-0000000%s%d\n" % (_SECTORS.get(i, 8192), i, "%s", i)
                       for i in range(1, 10)))


def _levels_table(index):
    return _PARTITIONS % (("00000000-0000-4000-8000-00000000000%d" % index,) + ("%04d" % index,) * 9)


LEVELS = Recipe("levels", {"a": 48, "b": 48, "c": 48, "d": 48}, r"""
M=--metadata=1.2
array 10 --level=5 --raid-devices=3 --chunk=64 --bitmap=none $M $(P a 1) $(P b 1) $(P c 1)
array 11 --level=6 --raid-devices=4 --chunk=64 --bitmap=none $M $(P a 2) $(P b 2) $(P c 2) $(P d 2)
array 12 --level=10 --raid-devices=4 --chunk=64 --bitmap=none $M $(P a 3) $(P b 3) $(P c 3) $(P d 3)
array 13 --level=4 --raid-devices=3 --chunk=64 --bitmap=none $M $(P b 4) $(P c 4) $(P d 4)
array 14 --level=linear --raid-devices=2 $M $(P a 5) $(P b 5)
array 15 --level=0 --raid-devices=2 --chunk=64 $M $(P c 6) $(P d 6)
array 16 --level=1 --raid-devices=2 --bitmap=none --metadata=1.0 $(P a 7) $(P b 7)
array 17 --level=1 --raid-devices=2 --bitmap=none --metadata=0.90 $(P c 8) $(P d 8)
array 18 --level=1 --raid-devices=2 --bitmap=internal --metadata=1.1 $(P a 9) $(P c 9)
for n in 10 11 12 13 14 15 16 17 18; do fill /dev/md$n "array $n"; sync; content md$n /dev/md$n; done
""", partitions={d: _levels_table(i) for i, d in enumerate("abcd", 1)})

LEVELS_BACKUP = Backup(mountlist="".join("/dev/md%d /mnt/%d ext3 4096\n" % (n, n) for n in range(10, 19)))

# Metadata at the end: the content of the array is visible on each member.
MIRRORS = Recipe("mirrors", {"m0": 16, "m1": 16, "n0": 16, "n1": 16}, r"""
array 0 --level=1 --raid-devices=2 --bitmap=none --metadata=0.90 $(D m0 m1)
array 1 --level=1 --raid-devices=2 --bitmap=none --metadata=1.0 $(D n0 n1)
ext4 -L mirrored -U 11111111-2222-4333-8444-555555555555 /dev/md0
pv /dev/md1
vgcreate -q -s 1m vgm /dev/md1
lv -L 4M -n data vgm
fill /dev/vgm/data "mirror data"
sync
content md0 /dev/md0; content md1 /dev/md1; content vgm/data /dev/vgm/data
""")

MIRRORS_BACKUP = Backup(mountlist="/dev/md0 /boot ext4 16320\n/dev/vgm/data / ext3 lvm\n")

# LV types that go to lvm, beside a linear one that does not.
LVM_TYPES = Recipe("lvmtypes", {"q0": 32, "q1": 32}, r"""
pv $(D q0 q1)
vgcreate -q -s 1m vgt $(D q0 q1)
lv -L 4M -n plain vgt
lvcreate -q -y -Wn -Zn --type raid1 -m 1 --nosync -L 4M -n mirrored vgt || fail raid1
lvcreate -q -y --type thin-pool -L 8M --poolmetadatasize 2M -n pool vgt || fail pool
lvcreate -q -y -Wn -V 12M --thin -n thin vgt/pool || fail thin
fill /dev/vgt/plain plain; fill /dev/vgt/mirrored mirrored
dd if=/dev/vgt/plain of=/dev/vgt/thin bs=64k count=16 conv=notrunc 2>/dev/null
sync
for l in plain mirrored thin; do content vgt/$l /dev/vgt/$l; done
""")

LVM_TYPES_BACKUP = Backup(mountlist="/dev/vgt/plain / ext3 lvm\n/dev/vgt/mirrored /m ext3 lvm\n"
                                    "/dev/vgt/thin /t ext3 lvm\n")

# x2 is a PV of the VG that no wanted LV lies on; cases leave it out of the machine.
UNUSED_PV = Recipe("unused", {"x0": 16, "x1": 16, "x2": 16}, r"""
pv $(D x0 x1 x2)
vgcreate -q -s 1m vgx $(D x0 x1 x2)
lv -L 4M -n used vgx $(D x0)
lv -L 4M -i 2 -I 64k -n wide vgx $(D x0 x1)
fill /dev/vgx/used used; fill /dev/vgx/wide wide; sync
content vgx/used /dev/vgx/used; content vgx/wide /dev/vgx/wide
""")

UNUSED_PV_BACKUP = Backup(mountlist="/dev/vgx/used / ext3 lvm\n/dev/vgx/wide /w ext3 lvm\n")

# s1 carries metadata that is behind: it still describes an LV that was removed, and not the one that took its place.
STALE = Recipe("stale", {"s0": 16, "s1": 16}, r"""
pv $(D s0 s1)
vgcreate -q -s 1m vgs $(D s0 s1)
lv -L 4M -n kept vgs $(D s0)
lv -L 4M -n gone vgs $(D s1)
fill /dev/vgs/kept kept; fill /dev/vgs/gone gone; sync
dd if=$(D s1) of=/tmp/head bs=1M count=1 2>/dev/null
lvremove -q -f vgs/gone
lv -L 2M -n grown vgs $(D s1)
lvextend -q -L +2M vgs/grown $(D s0)
fill /dev/vgs/grown grown; sync
content vgs/kept /dev/vgs/kept; content vgs/grown /dev/vgs/grown
describe
vgchange -q -an
dd if=/tmp/head of=$(D s1) bs=1M count=1 conv=notrunc 2>/dev/null; sync
""")

STALE_BACKUP = Backup(mountlist="/dev/vgs/kept / ext3 lvm\n/dev/vgs/grown /g ext3 lvm\n")

# The ISO files lie in a directory of an ext4 on an LV on a RAID1.
ISO_BACKUP = Backup(mountlist="/dev/vgs/kept / ext3 lvm\n", kind="iso",
                    config_extra="iso-dev /dev/vgiso/store\niso-mnt /mnt/store\nisodir /backup/web7\n")


def iso_home():
    return Recipe("isohome", {"u0": 32, "u1": 32}, r"""
array 7 --level=1 --raid-devices=2 --bitmap=none --metadata=1.2 $(D u0 u1)
pv /dev/md7
vgcreate -q -s 1m vgiso /dev/md7
lv -L 20M -n store vgiso
ext4 -O ^metadata_csum -L isostore -U 22222222-3333-4444-8555-666666666666 /dev/vgiso/store
mkdir -p /mnt/store; mount -t ext4 /dev/vgiso/store /mnt/store || fail mount
mkdir -p /mnt/store/backup/web7
dd if=$(F iso) of=/mnt/store/backup/web7/web7-1.iso bs=64k 2>/dev/null
umount /mnt/store; sync
content vgiso/store /dev/vgiso/store
""", files={"iso": disc(ISO_BACKUP)})


# What a careless search would write to: a dirty journal, an array with a bitmap, dirty arrays.
DIRTY = Recipe("dirty", {"j0": 16, "j1": 16, "k0": 10, "k1": 10, "l0": 8, "l1": 8, "l2": 8}, r"""
array 0 --level=1 --raid-devices=2 --bitmap=internal --metadata=1.2 $(D j0 j1)
array 1 --level=1 --raid-devices=2 --bitmap=none --metadata=1.2 $(D k0 k1)
array 2 --level=5 --raid-devices=3 --chunk=64 --bitmap=none --metadata=1.2 $(D l0 l1 l2)
pv /dev/md0
vgcreate -q -s 1m vgj /dev/md0
lv -L 10M -n fs vgj
dirty_fs /dev/vgj/fs journal 33333333-4444-4555-8666-777777777777
dirty_fs /dev/md1 journal1 33333333-4444-4555-8666-888888888888
fill /dev/md2 "dirty five"; sync
content vgj/fs /dev/vgj/fs; content md1 /dev/md1; content md2 /dev/md2
describe
# a member copied while its array is being written to says "active", and stays so on the disk
for n in 1 2; do echo 60 > /sys/block/md$n/md/safe_mode_delay; dd if=/dev/md$n of=/tmp/block bs=4k count=1 2>/dev/null
  dd if=/tmp/block of=/dev/md$n bs=4k count=1 oflag=direct conv=notrunc 2>/dev/null
  note state md$n $(cat /sys/block/md$n/md/array_state); done
for d in k0 k1 l0 l1 l2; do dd if=$(D $d) of=/tmp/$d bs=64k iflag=direct 2>/dev/null; done
vgchange -q -an; mdadm --stop --scan 2>/dev/null
for d in k0 k1 l0 l1 l2; do dd if=/tmp/$d of=$(D $d) bs=64k conv=notrunc 2>/dev/null; rm /tmp/$d; done; sync
mdadm --examine $(D k0) | grep -q 'State : active' || fail "k0 is not dirty"
mdadm --examine $(D l0) | grep -q 'State : active' || fail "l0 is not dirty"
""")

DIRTY_BACKUP = Backup(mountlist="/dev/vgj/fs / ext4 lvm\n/dev/md1 /one ext4 9216\n/dev/md2 /two ext4 14336\n")

# A target that holds an old VG, a bystander that carries another, and a second target of the same size.
NUKE = Recipe("nuke", {"t0": 48, "t1": 48, "y0": 32}, r"""
pv $(P t0 2) $(D y0)
vgcreate -q -s 1m vgold $(P t0 2)
vgcreate -q -s 1m vgby $(D y0)
lv -L 4M -n oldroot vgold
lv -L 4M -n precious vgby
fill /dev/vgold/oldroot old; fill /dev/vgby/precious precious
content vgold/oldroot /dev/vgold/oldroot; content vgby/precious /dev/vgby/precious
ext4 -L oldboot $(P t0 1)
""", partitions={"t0": "label: dos\nlabel-id: 0x7a7a0001\nsize=12MiB, type=83\ntype=8e\n",
                 "t1": "label: dos\nlabel-id: 0x7a7a0002\ntype=83\n"})

NUKE_BACKUP = Backup(
    mountlist="/dev/sda1 /boot ext3 12288\n/dev/sda2 lvm lvm 35840\n/dev/sdb1 /srv ext3 47104\n"
              "/dev/vgold/oldroot / ext3 lvm\n",
    wants_lvm="LVM 2 was found on this machine\n>>>>> /dev/sda2\n# lvm vgchange -an\n"
              "# echo y | lvm pvcreate -ff /dev/sda2\n# lvm vgscan\n# lvm vgcreate vgold -s 1m  /dev/sda2\n"
              "# lvm vgchange -a y vgold\n# lvm lvcreate -L 8m -n oldroot vgold\n# lvm vgscan\n")


# Where an operator saves the journal to; without a file system's journal, so that what is on it can be read as it is.
STICK = Recipe("stick", {"stick": 16}, r"""
ext4 -O ^has_journal,^metadata_csum -L RECORDS -U 44444444-5555-4666-8777-888888888888 $(D stick)
""")


def everything():
    return [STICK, STACK, LEVELS, MIRRORS, LVM_TYPES, UNUSED_PV, STALE, iso_home(), DIRTY, NUKE]
