"""Disk images with real metadata, written by real mdadm and lvm2 in a maker VM (the host needs neither md nor dm).

A Recipe is data: disks, partition tables and a shell script. Every recipe that is not in the cache yet is made in one
boot of the maker; its disks are taken out of that kernel before the next recipe runs, so names may repeat. The cache
is keyed by everything that goes in. Besides the images each recipe leaves a manifest: what the real tools said about
what they made (UUIDs, dm tables, content hashes). That is the truth that cases are judged by.
"""
import hashlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field

from . import debian, guestkit
from .paths import CACHE_DIR, StageError, cache, program
from .qemu import Machine


MAKER_LIMIT = 1200  # seconds of wall-clock; half a minute on an idle machine


@dataclass(frozen=True)
class Recipe:
    name: str
    disks: dict                                     # disk name -> MiB
    script: str                                     # run in the maker; see PRELUDE for its vocabulary
    partitions: dict = field(default_factory=dict)  # disk name -> sfdisk script
    files: dict = field(default_factory=dict)       # name -> host file, present in the maker as `F name`

    def digest(self, tools):
        parts = [PRELUDE, self.name, json.dumps(self.disks), self.script, json.dumps(self.partitions), " ".join(tools)]
        for name, path in sorted(self.files.items()):
            parts.append(name + hashlib.sha256(open(path, "rb").read()).hexdigest())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Images:
    """The made images of a recipe: paths by disk name, and the manifest."""

    def __init__(self, directory, recipe):
        self.directory = directory
        self.recipe = recipe
        self.paths = {name: directory / (name + ".raw") for name in recipe.disks}
        self.manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))

    def copy(self, names, into):
        """Private copies for one run, sparse; returns their paths by name."""
        into.mkdir(parents=True, exist_ok=True)
        copies = {}
        for name in names:
            copies[name] = into / (name + ".raw")
            subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(self.paths[name]), str(copies[name])],
                           check=True)
        return copies


PRELUDE = r"""#!/vmtest/busybox sh
export PATH=/sbin:/usr/sbin:/vmtest/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
echo 1 > /proc/sys/kernel/printk
while read m; do insmod $m 2>/dev/null; done < /modules/order

# ------------------------------------------------------------- vocabulary of the recipes
# D NAME...       the kernel's names of disks of this recipe        P NAME N   partition N of a disk
# F NAME          a file given to the recipe, as a block device
# array N ARGS    mdadm --create /dev/mdN, clean, fixed UUID; number and name are N
# fill DEV TEXT   numbered blocks of text and noise until the device is full
# content KEY DEV note the SHA-256 of a device's content in the manifest
D() { for n in "$@"; do for s in /sys/block/sd*; do
  [ "$(tr -d ' ' < $s/device/model)" = "$R-$n" ] && printf '/dev/%s ' ${s##*/}; done; done; }
P() { printf '%s%s ' $(D $1) $2; }
F() { D $1; }
array() { n=$1; shift
  mdadm --create /dev/md$n --run --assume-clean --homehost=any --name=$n --uuid=$(uuid $n) "$@" || fail "array $n"
  i=0; while [ ! -b /dev/md$n ] && [ $i -lt 50 ]; do i=$((i+1)); sleep 0.1; done; }
uuid() { echo "$R $1" | md5sum | sed 's/^\(.\{8\}\)\(.\{8\}\)\(.\{8\}\)\(.\{8\}\).*/\1:\2:\3:\4/'; }
pv() { for d in "$@"; do
  u=$(echo "$R pv $d" | md5sum | sed 's/^\(.\{6\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)\(.\{6\}\).*/\1-\2-\3-\4-\5-\6-\7/')
  pvcreate -q -ff -y --uuid $u --norestorefile $d || fail "pvcreate $d"; done; }
lv() { lvcreate -q -y -Wn -Zn "$@" || fail "lvcreate $*"; }
fill() { [ -b $1 ] || fail "fill $1: no such device"
  /vmtest/fill "$2" | dd of=$1 bs=64k conv=notrunc iflag=fullblock 2>/dev/null; }
content() { note content $1 $(sha256sum $2 | cut -d' ' -f1); }
note() { echo "NOTE $*"; }
ext4() { /sbin/mke2fs -q -t ext4 "$@" || fail "ext4 $*"; } # not busybox, whose shell prefers its own mke2fs
fail() { echo "FAILED $R: $*"; poweroff -f; }
dirty_fs() { # an ext4 whose journal holds transactions: a copy taken while it is mounted and in use
  ext4 -J size=1 -L "$2" -U "$3" $1
  mkdir -p /mnt/fs; mount -t ext4 $1 /mnt/fs || fail mount
  i=0; while [ $i -lt 40 ]; do echo "file $i" > /mnt/fs/f$i; i=$((i+1)); done; sync
  i=0; while [ $i -lt 40 ]; do mv /mnt/fs/f$i /mnt/fs/g$i; i=$((i+1)); done; fsync /mnt/fs/g3; sync
  dd if=$1 of=/tmp/fs.img bs=64k 2>/dev/null; umount /mnt/fs; dd if=/tmp/fs.img of=$1 bs=64k conv=notrunc 2>/dev/null
  sync; rm /tmp/fs.img; }
describe() {
  for s in /sys/block/sd*; do m=$(tr -d ' ' < $s/device/model)
    [ "${m%%-*}" = "$R" ] && note dev $(cat $s/dev) "disk:${m#*-}"
    for p in $s/sd*; do [ -f $p/partition ] && note dev $(cat $p/dev) "disk:${m#*-}:$(cat $p/partition)"; done; done
  for m in /dev/md[0-9]*; do [ -b $m ] || continue
    eval $(mdadm --detail --export $m | sed -n 's/^\(MD_LEVEL\|MD_UUID\|MD_METADATA\|MD_DEVICES\)=\(.*\)/\1="\2"/p')
    note dev $(cat /sys/block/${m##*/}/dev) "md:$MD_UUID"
    note array ${m##*/} $MD_UUID $MD_LEVEL $MD_METADATA $MD_DEVICES; done
  lvs --noheadings --separator ' ' -o vg_name,lv_name,lv_uuid,segtype 2>/dev/null | while read v l u t; do note lv $v $l $u $t; done
  pvs --noheadings --separator ' ' -o pv_name,pv_uuid,vg_name 2>/dev/null | while read d u v; do note pv $d $u $v; done
  for d in /sys/block/dm-*; do [ -d $d ] || continue
    note dev $(cat $d/dev) "dm:$(cat $d/dm/uuid)"
    dmsetup table $(cat $d/dm/name) | while read line; do note table $(cat $d/dm/name) $(cat $d/dm/uuid) $line; done; done
}
only_ours() { # lvm looks at the disks of this recipe alone
  f='"a|^/dev/md|"'; for s in /sys/block/sd*; do m=$(tr -d ' ' < $s/device/model)
    [ "${m%%-*}" = "$R" ] && f="$f, \"a|^/dev/${s##*/}[0-9]*\$|\""; done
  sed -i '/global_filter/d' /etc/lvm/lvm.conf; echo "devices { global_filter=[ $f, \"r|.*|\" ] }" >> /etc/lvm/lvm.conf; }
leave() {
  sync; vgchange -q -an >/dev/null 2>&1; mdadm --stop --scan 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches
  for s in /sys/block/sd*; do m=$(tr -d ' ' < $s/device/model)
    [ "${m%%-*}" = "$R" ] && { blockdev --flushbufs /dev/${s##*/}; echo 1 > $s/device/delete; }; done
  rm -f /dev/md[0-9]*; rm -rf /dev/md /run/mdadm/map; }
"""


def _maker_init(recipes):
    text = [PRELUDE]
    for index, recipe in enumerate(recipes):
        # the SCSI product field, which names a disk here, holds 16 characters
        text.append("R=r%d\necho BEGIN %s $(cut -d' ' -f1 /proc/uptime)\nonly_ours\n%s\ndescribe\nleave\necho END %s\n"
                    % (index, recipe.name, recipe.script, recipe.name))
    text.append("echo MAKER-DONE\npoweroff -f\n")
    return "\n".join(text)


def _partition(path, script):
    subprocess.run([program("sfdisk"), "-q", "--no-reread", str(path)], input=script, text=True, check=True,
                   stdout=subprocess.DEVNULL)


def make(recipes):
    """{recipe name: Images} for all of them; what is not cached is made now, in one boot."""
    _, tools = debian.tools()
    directories = {r.name: CACHE_DIR / "images" / ("%s-%s" % (r.name, r.digest(tools))) for r in recipes}

    def missing():
        return [r for r in recipes if not (directories[r.name] / "manifest.json").exists()]

    if missing():
        with debian.locked("maker"):
            if missing():
                _run_maker(missing(), directories)
    return {r.name: Images(directories[r.name], r) for r in recipes}


def _run_maker(recipes, directories):
    kernel = debian.kernel()
    drives, number = ["-device", "virtio-scsi-pci,id=scsi0"], 0
    for index, recipe in enumerate(recipes):
        directory = directories[recipe.name]
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        backing = {name: directory / (name + ".raw") for name in recipe.disks}
        for name, size in recipe.disks.items():
            with open(backing[name], "wb") as image:
                image.truncate(size << 20)
            if name in recipe.partitions:
                _partition(backing[name], recipe.partitions[name])
        for name, path in recipe.files.items():
            padded = directory / ("file-%s.raw" % name)
            shutil.copyfile(path, padded)
            size = os.path.getsize(padded)
            with open(padded, "ab") as image:
                image.truncate((size + 511) // 512 * 512)
            backing[name] = padded
        for name, path in backing.items():
            drives += ["-drive", "if=none,id=d%d,file=%s,format=raw,cache=unsafe,discard=unmap" % (number, path),
                       "-device", "scsi-hd,bus=scsi0.0,drive=d%d,product=r%d-%s,scsi-id=%d" % (
                           number, index, name, number)]
            number += 1
    tree = guestkit.small_linux(_maker_init(recipes))
    initrd = cache("maker.cpio")
    initrd.write_bytes(tree.pack())
    started = time.monotonic()
    artefacts = cache("maker-run") / "."
    with Machine(kernel.image, initrd, "console=ttyS0 quiet loglevel=1 panic=-1 rdinit=/init", drives, artefacts,
                 memory=1536, cpus=2, wall_limit=MAKER_LIMIT, agent=False) as machine:
        try:
            machine.wait(lambda: b"MAKER-DONE" in machine.console or b"FAILED" in machine.console, MAKER_LIMIT - 20,
                         "the end of the maker")
        except StageError as error:
            print("maker: %s; what it finished is kept" % error, flush=True)
        end = time.monotonic() + 20
        while machine.running and time.monotonic() < end:
            machine.pump(0.2)
        text = machine.console.decode("utf-8", "replace")
    for recipe in recipes:
        if "END %s\r" % recipe.name not in text:
            continue
        body = text.split("BEGIN %s" % recipe.name, 1)[1].split("END %s" % recipe.name, 1)[0]
        manifest = _manifest(body)
        for name in recipe.files:
            (directories[recipe.name] / ("file-%s.raw" % name)).unlink()
        path = directories[recipe.name] / "manifest.json"
        path.with_suffix(".tmp").write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(path.with_suffix(".tmp"), path)
    if "MAKER-DONE" not in text or "FAILED" in text:
        failed = [line for line in text.splitlines() if "FAILED" in line]
        raise StageError("the maker VM failed: %s; its console is in %s" % (failed or "no end", artefacts))
    print("maker: %d recipes in %.0f s" % (len(recipes), time.monotonic() - started), flush=True)


def _manifest(text):
    manifest = {"content": {}, "arrays": {}, "lvs": {}, "tables": {}, "pvs": {}}
    identities, tables = {}, []
    for line in text.splitlines():
        words = line.split()
        if words[:1] != ["NOTE"]:
            continue
        kind, rest = words[1], words[2:]
        if kind == "content":
            manifest["content"][rest[0]] = rest[1]
        elif kind == "dev":
            identities[rest[0]] = rest[1]
        elif kind == "array":
            manifest["arrays"][rest[0]] = {"uuid": rest[1], "level": rest[2], "metadata": rest[3], "devices": rest[4]}
        elif kind == "lv":
            manifest["lvs"]["%s/%s" % (rest[0], rest[1])] = {"uuid": rest[2], "type": rest[3]}
        elif kind == "pv":
            manifest["pvs"][rest[1]] = rest[2] if len(rest) > 2 else ""
        elif kind == "table":
            tables.append((rest[0], rest[1], " ".join(rest[2:])))
    for name, uuid, table in tables:
        table = " ".join(identities.get(word, word) for word in table.split())
        manifest["tables"].setdefault(name, {"uuid": uuid, "table": []})["table"].append(table)
    return manifest
