"""What is measured: hardware, what must be there before the launch, and when which part of it comes.

The recipes' scripts are run by real mdadm and lvm2 in the maker VM of tests/vm; the manifest that it leaves (UUIDs, dm
tables) is what the floor is told.
"""
import random
from dataclasses import dataclass, field

from lab.hotplug import Disk, Medium
from lab.images import Recipe
from lab.medium import Backup, disc

LABEL = "MONDO1"

MAGIC = r"""
magic() { for l in "$@"; do printf 'BENCH %s\n' $l | dd of=/dev/$l conv=notrunc 2>/dev/null; done; sync; }
"""

FIVE = Recipe("bench-five", {"a0": 32, "a1": 32, "a2": 32}, MAGIC + r"""
array 0 --level=5 --raid-devices=3 --chunk=64 --bitmap=none --metadata=1.2 $(D a0 a1 a2)
pv /dev/md0
vgcreate -q -s 1m vg0 /dev/md0
lv -L 16M -n root vg0
magic vg0/root
""")

MIRRORED = 8
PLAIN = 16
WIDE_VOLUMES = ["vg0/lv%d" % i for i in range(40)]
WIDE = Recipe("bench-wide", {**{"%s%d" % (side, i): 16 for i in range(MIRRORED) for side in "ab"},
                             **{"p%d" % i: 16 for i in range(PLAIN)}}, MAGIC + r"""
all=
for k in 0 1 2 3 4 5 6 7; do
  array $k --level=1 --raid-devices=2 --bitmap=none --metadata=1.2 $(D a$k b$k); all="$all /dev/md$k"; done
for k in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do all="$all $(D p$k)"; done
pv $all
vgcreate -q -s 1m vg0 $all
set -- $all
k=0; while [ $k -lt 32 ]; do lv -L 2M -n lv$k vg0 $1; set -- "$@" $1; shift; k=$((k+1)); done
while [ $k -lt 39 ]; do lv -L 2M -i 2 -I 64k -n lv$k vg0 $1 $2; set -- "$@" $1 $2; shift 2; k=$((k+1)); done
lv -L 60M -n lv39 vg0
k=0; while [ $k -lt 40 ]; do magic vg0/lv$k; k=$((k+1)); done
""")

SIX = Recipe("bench-six", {"a0": 32, "a1": 32, "a2": 32, "b0": 32, "b1": 32, "p0": 32}, MAGIC + r"""
array 0 --level=5 --raid-devices=3 --chunk=64 --bitmap=none --metadata=1.2 $(D a0 a1 a2)
array 1 --level=1 --raid-devices=2 --bitmap=none --metadata=1.2 $(D b0 b1)
pv /dev/md0 /dev/md1 $(D p0)
vgcreate -q -s 1m vg0 /dev/md0 /dev/md1 $(D p0)
lv -L 8M -n root vg0 /dev/md0
lv -L 8M -n usr vg0 /dev/md1
lv -L 8M -n home vg0 $(D p0)
lv -L 8M -i 3 -I 64k -n data vg0
magic vg0/root vg0/usr vg0/home vg0/data
""")

BLANK = Recipe("bench-blank", {"t0": 32}, "\n")


@dataclass(frozen=True)
class Arrangement:
    key: str
    title: str
    recipe: Recipe
    volumes: list
    medium: str                                 # cd, or usb
    late: tuple = ()                            # what comes while the machine runs, in order ("medium" is the medium)
    offsets: tuple = ()                         # milliseconds since the start of init, one for each of them
    shuffled: bool = False                      # another order in each run, the same for all contenders
    target: str = ""                            # a disk that need only be there
    members: dict = field(default_factory=dict)  # array -> its disks
    hardware: tuple = ()                        # (module, arguments) that the instrumentation loads before init
    cold: bool = field(default=False)           # nothing comes late: the order in which drivers are loaded decides

    @property
    def backup(self):
        if self.target:
            return Backup(mountlist="/dev/sda / ext4 32768\n")
        return Backup(mountlist="".join("/dev/%s /mnt/%d ext3 lvm\n" % (v, i) for i, v in enumerate(self.volumes)))

    @property
    def words(self):
        """What tells muster (as Mondo's own words) what this restore is."""
        if self.target:
            return "nuke_mode muster.target=sda:serial=VM" + self.target
        return "compare_mode"

    def disc(self):
        return disc(self.backup)

    def disks(self):
        return [Disk(name, self.recipe.name, late=name in self.late) for name in self.recipe.disks]

    def media(self):
        return Medium(self.disc(), self.medium, late="medium" in self.late)

    def patterns(self):
        """Name -> pattern of the devpath of everything that must be there."""
        found = {name: "/devices/*/virtio*/host*/target*:0:%d/*:0:%d:0/block/*" % (i, i)
                 for i, name in enumerate(self.recipe.disks)}
        found["medium"] = "/devices/*/usb*/host*/block/*" if self.medium == "usb" else "/devices/*/ata*/block/sr*"
        return found

    def order(self, run):
        names = list(self.late)
        if self.shuffled:
            random.Random(run).shuffle(names)
        return names


_WIDE_ORDER = tuple(WIDE.disks)
_FIVE_MEMBERS = {"md0": ("a0", "a1", "a2")}
_SIX_MEMBERS = {**_FIVE_MEMBERS, "md1": ("b0", "b1")}
_WIDE_MEMBERS = {"md%d" % i: ("a%d" % i, "b%d" % i) for i in range(MIRRORED)}

ARRANGEMENTS = {a.key: a for a in (
    Arrangement("a", "all there at boot: RAID5 of 3, a VG on it, CD", FIVE, ["vg0/root"], "cd", cold=True,
                members=_FIVE_MEMBERS),
    Arrangement("b", "RAID5 of 3, a VG on it, USB medium; the last member comes last", FIVE, ["vg0/root"], "usb",
                late=("medium", "a2"), offsets=(6000, 9000), members=_FIVE_MEMBERS),
    Arrangement("m", "the same, the medium comes last", FIVE, ["vg0/root"], "usb",
                late=("a2", "medium"), offsets=(6000, 7000), members=_FIVE_MEMBERS),
    Arrangement("c", "32 disks hot-plugged in random order: 8 RAID1 and 16 more PVs, one VG, 40 LVs; CD", WIDE, WIDE_VOLUMES, "cd",
                late=_WIDE_ORDER, offsets=tuple(6000 + 40 * i for i in range(len(_WIDE_ORDER))), shuffled=True,
                members=_WIDE_MEMBERS),
    Arrangement("d", "206 disks at boot, of which 6 matter: RAID5, RAID1, PV, one VG, 4 LVs; CD", SIX,
                ["vg0/root", "vg0/usr", "vg0/home", "vg0/data"], "cd", cold=True,
                members=_SIX_MEMBERS, hardware=(("scsi_debug", "add_host=1 num_tgts=100 max_luns=2 dev_size_mb=8"),)),
    Arrangement("e", "a CD and one blank target, nothing else", BLANK, [], "cd", cold=True, target="t0"),
)}
