"""The executors alone, without the daemon: each effect is asked for by the case and judged by the real tools."""
import json
import os
import shlex
import shutil
import struct
import subprocess
from pathlib import Path

from lab import debian, guestkit, medium
from lab.paths import BUILD_DIR, SOURCE_DIR, StageError, program

from .common import Disk, Medium, recipes, stack_disks, witness
from lab.case import Case

CASES = []
WALL_LIMIT = 900  # raid6 measures its algorithms at load, and emulation is slow

INIT = r"""#!/vmtest/busybox sh
export PATH=/sbin:/usr/sbin:/vmtest/bin TERM=linux
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs -o nodev tmp /run
echo 1 > /proc/sys/kernel/printk
mkdir -p /tmp /mnt/a /run/muster; : > /run/ready
exec sleep 100000
"""

CONFIG = """blacklist sr-mod
install muster-install /vmtest/bin/touch /tmp/installed-$CMDLINE_OPTS
options muster-install yes
options null_blk nr_devices=3
softdep muster-install post: nosuchmodule
"""
# A softdep turns an install line off, as in modprobe: the one that is tried stands in a file of its own.
INSTALL = "install muster-tool /vmtest/bin/touch /tmp/installed-$CMDLINE_OPTS\noptions muster-tool yes\n"

# What a medium may bring: lines that are none, a path that leaves the tree, a circle, a dependency that is not there,
# and one good module whose dependency is in our own tree.
SECOND_DEP = """no colon here
../../../etc/evil.ko:
kernel/circle.ko: kernel/circle.ko
kernel/orphan.ko: kernel/gone.ko
%s: kernel/configfs.ko
"""
SECOND_ALIAS = "alias muster-second-* null_blk\nalias muster-circle circle\nalias muster-orphan orphan\nalias broken\n"


def effect_program():
    if os.environ.get("MUSTER_EFFECT"):
        return Path(os.environ["MUSTER_EFFECT"])
    for preset in ("release", "dev"):
        path = SOURCE_DIR / "build" / preset / "tests" / "muster-effect"
        if path.is_file():
            return path
    raise StageError("muster-effect is not built: cmake --build --preset release --target muster-effect")


def image():
    kernel = debian.kernel()
    tree = guestkit.small_linux(INIT, modules=())
    tree.program("vmtest/muster-effect", effect_program())
    own, second = "usr/lib/muster/modules/" + kernel.version, "lib/modules/" + kernel.version
    # A process a case: each makes its own, they run side by side.
    made = BUILD_DIR / ("executors-modules-%d" % os.getpid())
    shutil.rmtree(made, ignore_errors=True)
    target = made / "lib/modules" / kernel.version
    for path in guestkit.module_closure(kernel, guestkit.MAKER_MODULES + ("configfs",)):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kernel.modules / path, target / path)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copyfile(kernel.modules / name, target / name)
    subprocess.run([program("depmod"), "-b", str(made), kernel.version], check=True)
    for path in sorted(p for p in target.rglob("*") if p.is_file()):
        tree.file("%s/%s" % (own, path.relative_to(target)), path, 0o644)
    null_blk = next(p for p in guestkit.module_closure(kernel, ("null_blk",)) if p.endswith("null_blk.ko"))
    tree.file("%s/%s" % (second, null_blk), kernel.modules / null_blk, 0o644)
    tree.data(second + "/modules.dep", SECOND_DEP % null_blk)
    tree.data(second + "/modules.alias", SECOND_ALIAS)
    # libkmod would follow this offset out of the file.
    lie = struct.pack(">IIII", 0xB007F457, 0x00020001, 0xEFFFFFF0, 0)
    for name in ("modules.dep.bin", "modules.alias.bin", "modules.symbols.bin", "modules.builtin.bin"):
        tree.data("%s/%s" % (second, name), lie)
    tree.data("etc/modprobe.d/case.conf", CONFIG)
    tree.data("etc/modprobe.d/install.conf", INSTALL)
    path = BUILD_DIR / ("executors-%d.cpio" % os.getpid())
    path.write_bytes(tree.pack())
    shutil.rmtree(made)
    return path


# ---------------------------------------------------------------- vocabulary

def wanted(handler, verb, **arguments):
    return {"handler": handler, "verb": verb, "arguments": arguments}


def effects(stage, *asked, together=False):
    """Their answers, in order."""
    lines = " ".join(shlex.quote(json.dumps(e)) for e in asked)
    _, text = stage.vm.run("printf '%%s\\n' %s | /vmtest/muster-effect%s" % (lines, " --together" if together else ""),
                           120)
    answers = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if len(answers) != len(asked):
        raise witness.Failed("%d effects, %d answers: %s" % (len(asked), len(answers), text[-1500:]))
    return answers


def done(stage, handler, verb, **arguments):
    """The result of an effect that must succeed."""
    answer, = effects(stage, wanted(handler, verb, **arguments))
    if not answer["ok"]:
        raise witness.Failed("%s %s: %s" % (handler, verb, answer["error"]))
    return answer["result"]


def refused(stage, code, *parts, handler, verb, **arguments):
    """An effect that must fail, with this code and these parts in its error."""
    answer, = effects(stage, wanted(handler, verb, **arguments))
    if answer["ok"]:
        raise witness.Failed("%s %s succeeded: %s" % (handler, verb, answer["result"]))
    if answer["code"] != code or any(p not in answer["error"] for p in parts):
        raise witness.Failed("%s %s: not %s with %s: %s" % (handler, verb, code, parts, answer))
    if "\n" in answer["error"]:
        raise witness.Failed("the error is more than one line: %r" % answer["error"])
    return answer["error"]


def must(condition, what, *seen):
    if not condition:
        raise witness.Failed("%s: %s" % (what, json.dumps(seen)[:2500]))


def load(stage, *aliases):
    """Resolve and insert, dependencies first, those of one rank side by side."""
    answers = effects(stage, *[wanted("driver", "resolve", alias=a) for a in aliases])
    modules = {}
    for answer in answers:
        must(answer["ok"], "resolve", answer)
        for module in answer["result"]["modules"]:
            modules.setdefault(module["name"], module)
    tried = {n for n, m in modules.items() if m["state"] != "absent"}
    while len(tried) < len(modules):
        rank = [m for n, m in modules.items() if n not in tried and all(
            x in tried or x not in modules for x in m["needs"] + m["wants"])]
        must(rank, "the order is a circle", list(modules.values()))
        inserted = effects(stage, *[wanted("driver", "insert", name=m["name"], path=m["path"], options=m["options"])
                                    for m in rank], together=True)
        for module, answer in zip(rank, inserted):
            must(answer["ok"] or module["soft"], "insert", module, answer)
            tried.add(module["name"])
    return modules


def load_drivers(stage):
    """What udev would have loaded, in rounds: the first drivers bring devices with aliases of their own."""
    must(stage.vm.until("[ -e /run/ready ]", 20), "the guest is not ready")
    for _ in range(3):
        text = stage.vm.check("cat $(find /sys/devices -name modalias) | sort -u")
        load(stage, *[a for a in text.split("\n") if a.startswith(("pci:", "virtio:", "scsi:", "usb:", "nvme:"))])
    load(stage, "sd_mod", "sr_mod", "md_mod", "dm_mod")
    must(stage.vm.until("[ -e /dev/sda ] || [ -e /dev/vda ] || [ -e /dev/sr0 ]", 20), "no disk appears",
         stage.vm.run("ls /dev; cat /proc/modules")[1])
    for disk in stage.case.disks:
        must(stage.vm.until(node_test(disk), 20), "disk %s does not appear" % disk.name)


def node_test(disk):
    return "grep -q 'VM%s *$' $(find /sys/block/*/device/ /sys/block/*/ -maxdepth 1 -name 'serial' -o " \
           "-maxdepth 1 -name vpd_pg80 -o -maxdepth 1 -name model)" % disk.name if disk.on != "scsi0" else \
           "grep -q 'VM-%s *$' /sys/block/sd*/device/model" % disk.name


def disks(stage):
    """{name of the disk: (kernel name, devno)} of those on virtio-scsi."""
    text = stage.vm.check("for s in /sys/block/sd*; do echo $(tr -d ' ' < $s/device/model) ${s##*/} $(cat $s/dev); done")
    return {m.replace("VM-", "", 1): (k, d) for m, k, d in (line.split() for line in text.splitlines())}


def read(stage, devno, **more):
    return done(stage, "probe", "read", devno=devno, devpath="", name="", diskseq=0, size=0,
                optical=more.get("optical", False), partition=more.get("partition", False))


def members(stage, found, names):
    """The superblocks on these disks, as arguments of assemble: (uuid, version, members)."""
    seen = []
    for name in names:
        superblock = read(stage, found[name][1])["details"]["md"]
        seen.append((superblock["uuid"], superblock["version"],
                     {"devno": found[name][1], "slot": superblock["role"]}, superblock))
    must(len({(u, v) for u, v, _, _ in seen}) == 1, "not one array", seen)
    return seen[0][0], seen[0][1], [m for _, _, m, _ in seen]


def sha(stage, path):
    return stage.vm.check("sha256sum " + path).split()[0]


# ------------------------------------------------------------------- driver

def driver_steps(stage):
    must(stage.vm.until("[ -e /run/ready ]", 20), "the guest is not ready")
    must(stage.vm.check("cat /proc/modules").strip() == "", "modules are loaded already")
    trees = done(stage, "driver", "reload")["trees"]
    must(len(trees) == 2 and trees[0].startswith("/usr/lib/muster/modules/"), "trees", trees)
    must(done(stage, "driver", "resolve", alias="pci:v0000FFFFd00000000sv0sd0bc0sc0i0") ==
         {"modules": [], "refused": []}, "an unknown alias")
    blacklisted = done(stage, "driver", "resolve", alias="scsi:t-0x05")
    must(blacklisted["refused"] == [{"name": "sr_mod", "why": "blacklisted by /etc/modprobe.d/case.conf:1"}],
         "the blacklist", blacklisted)
    must("sr_mod" not in [m["name"] for m in blacklisted["modules"]], "blacklisted, but in the list", blacklisted)
    by_name = done(stage, "driver", "resolve", alias="sr-mod")
    must([m["name"] for m in by_name["modules"]][-1] == "sr_mod" and not by_name["refused"], "by name", by_name)

    raid = done(stage, "driver", "resolve", alias="md-level-5")["modules"]
    names = [m["name"] for m in raid]
    must(names[-1] == "raid456" and {"libcrc32c", "md_mod", "async_tx", "xor"} <= set(names[:-1]), "raid456", names)
    for module in raid:
        must(set(module["needs"] + module["wants"]) <= set(names[:names.index(module["name"])]), "out of order", module)
    refused(stage, "io", "raid456.ko", "unknown symbol", handler="driver", verb="insert", name="raid456",
            path=raid[-1]["path"], options="")
    refused(stage, "not_found", "/nowhere.ko", handler="driver", verb="insert", name="nowhere", path="/nowhere.ko",
            options="")
    refused(stage, "io", "ENOEXEC", handler="driver", verb="insert", name="x", path="/vmtest/busybox", options="")

    # ext4 softly wants crypto-crc32c, an alias of several modules
    ext4 = {m["name"]: m for m in done(stage, "driver", "resolve", alias="fs-ext4")["modules"]}
    must("crc32c_generic" in ext4["ext4"]["wants"] and ext4["crc32c_generic"]["soft"] and not ext4["ext4"]["soft"],
         "the softdep of ext4", ext4)
    load(stage, "md-level-5", "fs-ext4")
    live = stage.vm.check("cat /sys/module/raid456/initstate /sys/module/ext4/initstate")
    must(live.split() == ["live", "live"], "not live", live)
    again = done(stage, "driver", "resolve", alias="md-level-5")["modules"]
    must({m["state"] for m in again} == {"live"}, "states", again)
    done(stage, "driver", "insert", name="raid456", path=raid[-1]["path"], options="")  # EEXIST is success
    # the same module many times at once: one load, nobody fails
    one = [wanted("driver", "insert", name="loop", path=done(stage, "driver", "resolve", alias="loop")["modules"][-1]
                  ["path"], options="max_loop=4")] * 6
    must(all(a["ok"] for a in effects(stage, *one, together=True)), "side by side")

    # the second tree: text only, its lies cost its own modules
    second = done(stage, "driver", "resolve", alias="muster-second-x")
    names = [m["name"] for m in second["modules"]]
    must(names == ["configfs", "null_blk"] and second["modules"][0]["path"].startswith(trees[0] + "/") and
         second["modules"][1]["path"].startswith(trees[1] + "/"), "second tree", second)
    must(second["modules"][1]["options"] == "nr_devices=3", "options", second)
    load(stage, "muster-second-x")
    must(stage.vm.until("[ -e /dev/nullb2 ]", 10), "null_blk did not take its options")
    circle = done(stage, "driver", "resolve", alias="muster-circle")
    must(circle["modules"] == [] and circle["refused"][0]["why"].endswith("it depends on itself"), "circle", circle)
    orphan = done(stage, "driver", "resolve", alias="muster-orphan")
    must(orphan["refused"] == [{"name": "orphan", "why": "it needs gone: there is no such module"}], "orphan", orphan)
    must(done(stage, "driver", "resolve", alias="evil")["modules"] == [], "evil")

    tool = done(stage, "driver", "resolve", alias="muster-tool")["modules"]
    must(len(tool) == 1 and tool[0]["install"].endswith("/tmp/installed-yes") and "path" not in tool[0], "install", tool)
    done(stage, "driver", "install", name="muster-tool", command=tool[0]["install"])
    stage.vm.check("[ -e /tmp/installed-yes ]")
    refused(stage, "io", "no-such-program", handler="driver", verb="install", name="x", command="no-such-program")
    slow = {"handler": "driver", "verb": "install", "deadline_ms": 300,
            "arguments": {"name": "x", "command": "exec sleep 1000"}}
    answer, = effects(stage, slow)
    must(not answer["ok"] and answer["code"] == "timeout", "an install command without end", answer)

    load_drivers(stage)
    must(len(disks(stage)) == 6, "disks", disks(stage))

    # a device that lost its driver gets it back
    driver = "/sys/bus/virtio/drivers/virtio_scsi"
    device = stage.vm.check("basename $(echo %s/virtio*)" % driver).strip()
    stage.vm.check("echo %s > %s/unbind" % (device, driver))
    must(stage.vm.until("! ls /sys/block | grep -q ^sd", 10), "the disks are still there")
    done(stage, "driver", "bind", bus="virtio", device=device)
    must(stage.vm.until("[ $(ls /sys/block | grep -c ^sd) = 6 ]", 20), "the disks do not come back",
         stage.vm.run("ls /sys/block %s" % driver)[1])
    refused(stage, "invalid", "no such bus", handler="driver", verb="bind", bus="../virtio", device=device)
    refused(stage, "not_found", "drivers_probe", handler="driver", verb="bind", bus="none", device=device)


CASES.append(Case("executor_driver", "modules by alias, softdeps, two trees, one of them lying, blacklist, install",
                  disks=stack_disks(), image=image, medium=Medium(None, ""), steps=[driver_steps], launches=False, wall_limit=WALL_LIMIT))


# ----------------------------------------------------------------------- md

def stop_all(stage):
    for kernel in stage.vm.check("ls /sys/block").split():
        if kernel.startswith("md"):
            done(stage, "md", "stop", devno=stage.vm.check("cat /sys/block/%s/dev" % kernel).strip())
    must(stage.vm.until("! ls -d /sys/block/md*", 10), "arrays are left", stage.vm.run("cat /proc/mdstat")[1])


def levels_steps(stage):
    load_drivers(stage)
    load(stage, "raid0", "raid1", "raid10", "raid456", "linear")
    done(stage, "md", "start_ro")
    must(stage.vm.check("cat /sys/module/md_mod/parameters/start_ro").strip() == "1", "start_ro")
    arrays = {}
    partitions = stage.vm.check("for p in /sys/block/sd*/sd*; do echo $(cat $p/dev); done").split()
    for devno in partitions:
        found = read(stage, devno, partition=True)
        properties = found["properties"]
        must(properties.get("ID_PART_ENTRY_SCHEME") == "gpt" and "ID_PART_ENTRY_UUID" in properties and
             properties["ID_PART_ENTRY_NAME"].startswith("part"), "partition entry", properties)
        if "md" not in found["details"]:
            continue
        superblock = found["details"]["md"]
        must(properties["ID_FS_TYPE"] == "linux_raid_member" and superblock["role_kind"] == "active" and
             superblock["unusual"] == "" and superblock["clean"], "superblock", found)
        array = arrays.setdefault(superblock["uuid"], {"version": superblock["version"], "members": [], "sb": superblock})
        array["members"].append({"devno": devno, "slot": superblock["role"]})
    must(len(arrays) == 9, "arrays", list(arrays))
    known = {a["uuid"]: n for n, a in stage.manifest("arrays").items()}
    must(set(arrays) == set(known), "not the arrays of the manifest", list(arrays), list(known))
    for uuid, array in arrays.items():
        must(len(array["members"]) == array["sb"]["raid_disks"], "members", array)
    # all nine side by side, numbers of their own choice
    answers = effects(stage, *[wanted("md", "assemble", uuid=u, number=-1, version=a["version"], members=a["members"])
                               for u, a in arrays.items()], together=True)
    must(all(a["ok"] for a in answers), "assemble", answers)
    must(len({a["result"]["kernel"] for a in answers}) == 9, "numbers", answers)
    for (uuid, array), answer in zip(arrays.items(), answers):
        kernel, state = answer["result"]["kernel"], answer["result"]["state"]
        must(state == ("clean" if array["sb"]["level"] in (-1, 0) else "read-auto"), "state", array["sb"], state)
        must(sha(stage, "/dev/" + kernel) == stage.manifest("content")[known[uuid]], "content of " + known[uuid])
        seen = done(stage, "md", "inspect", devno=answer["result"]["devno"])
        must(seen["uuid"] == uuid and seen["degraded"] == 0 and
             sorted(m["devno"] for m in seen["members"]) == sorted(m["devno"] for m in array["members"]), "inspect", seen)
        detail = stage.vm.check("mdadm --detail --export /dev/" + kernel)
        must("MD_UUID=" + uuid in detail, "mdadm --detail", detail)
    # once more, whatever the number: it is the same
    uuid, array = next(iter(arrays.items()))
    again = done(stage, "md", "assemble", uuid=uuid, number=3, version=array["version"], members=array["members"])
    must(again == answers[0]["result"], "another array of the same members", again)
    # in use: said so, with the name of who uses it
    refused(stage, "busy", "EBUSY", "held by", handler="md", verb="assemble", uuid=uuid, number=-1, version=array["version"],
            members=[dict(m, slot=m["slot"] + 1) for m in array["members"]])
    stop_all(stage)
    # a number that is wanted, and one that is taken
    first = done(stage, "md", "assemble", uuid=uuid, number=3, version=array["version"], members=array["members"])
    must(first["kernel"] == "md3" and first["devno"] == "9:3", "number", first)
    other_uuid, other = list(arrays.items())[1]
    refused(stage, "busy", "md3", "taken", handler="md", verb="assemble", uuid=other_uuid, number=3,
            version=other["version"], members=other["members"])
    stop_all(stage)
    # wrong version, a stranger among the members, too few: taken back each time
    refused(stage, "io", "adding", "EINVAL", handler="md", verb="assemble", uuid=uuid, number=-1, version="1.0",
            members=array["members"])
    refused(stage, "io", other["members"][-1]["devno"], handler="md", verb="assemble", uuid=uuid, number=-1,
            version=array["version"], members=array["members"] + other["members"][-1:])
    refused(stage, "io", "running it", handler="md", verb="assemble", uuid=uuid, number=-1, version=array["version"],
            members=array["members"][:1])
    refused(stage, "not_found", "240:77", handler="md", verb="assemble", uuid=uuid, number=-1, version=array["version"],
            members=array["members"] + [{"devno": "240:77", "slot": 9}])
    must(stage.vm.until("! ls -d /sys/block/md*", 10), "something is left of what failed",
         stage.vm.run("cat /proc/mdstat; ls /sys/block")[1])
    # mdadm, with the same result; a map of its own must not matter
    stage.vm.check("mkdir -p /run/mdadm /etc/mdadm; echo 'ARRAY /dev/md9 UUID=%s' > /etc/mdadm/mdadm.conf; "
                   "echo 'md44 1.2 %s /dev/md44' > /run/mdadm/map" % (uuid, uuid))
    by_mdadm = done(stage, "md", "mdadm_assemble", uuid=uuid, number=5,
                    devices=[{"devno": m["devno"], "name": "x"} for m in array["members"]])
    must(by_mdadm["kernel"] == "md5" and by_mdadm["state"] in ("read-auto", "clean"), "mdadm", by_mdadm)
    must(sha(stage, "/dev/md5") == stage.manifest("content")[known[uuid]], "content after mdadm")
    stage.vm.check("exec 3< /dev/md5; echo '%s' | /vmtest/muster-effect | grep -q '\"code\":\"busy\"'" % json.dumps(
        wanted("md", "stop", devno="9:5")))
    stop_all(stage)
    must(done(stage, "md", "stop", devno="9:5") == {}, "stopping what is gone")
    few = refused(stage, "io", "mdadm", handler="md", verb="mdadm_assemble", uuid=uuid, number=-1,
                  devices=[{"devno": array["members"][0]["devno"], "name": "x"}])
    must("not enough" in few or "cannot" in few or "no" in few, "what mdadm said", few)
    must(stage.vm.until("! ls -d /sys/block/md*", 10), "something is left of what mdadm could not start",
         stage.vm.run("cat /proc/mdstat")[1])


CASES.append(Case("executor_md", "all levels and superblocks put together by ioctl and by mdadm, failures taken back",
                  disks=[Disk(n, "levels") for n in "abcd"], image=image, medium=Medium(None, ""),
                  steps=[levels_steps], launches=False, wall_limit=WALL_LIMIT))


def dirty_steps(stage):
    """Dirty arrays and one with a bitmap come up without a write; a stale member is found out."""
    load_drivers(stage)
    load(stage, "raid1", "raid456")
    done(stage, "md", "start_ro")
    found = disks(stage)
    for names, content in ((("k0", "k1"), "md1"), (("l0", "l1", "l2"), "md2"), (("j0", "j1"), None)):
        uuid, version, parts = members(stage, found, names)
        made = done(stage, "md", "assemble", uuid=uuid, number=-1, version=version, members=parts)
        must(made["state"] == "read-auto", "state", made)
        if content:
            must(sha(stage, "/dev/" + made["kernel"]) == stage.manifest("content")[content], "content", content)
    stop_all(stage)


CASES.append(Case("executor_md_dirty", "dirty arrays and one with a bitmap: up read-auto, down, no byte written",
                  disks=[Disk(n, "dirty") for n in ("j0", "j1", "k0", "k1", "l0", "l1", "l2")], image=image,
                  medium=Medium(None, ""), steps=[dirty_steps], launches=False, wall_limit=WALL_LIMIT))


def stale_member_steps(stage):
    load_drivers(stage)
    load(stage, "raid1", "raid456")
    found = disks(stage)
    uuid, version, parts = members(stage, found, ("a0", "a1", "a2"))
    # mdadm runs it without a2 and counts events on: a2 is stale afterwards (these disks may change)
    stage.vm.check("mdadm --assemble --run /dev/md0 /dev/%s /dev/%s; dd if=/dev/md0 of=/dev/md0 bs=4k count=1 conv=notrunc; "
                   "sync; mdadm --stop /dev/md0" % (found["a0"][0], found["a1"][0]))
    done(stage, "md", "start_ro")
    error = refused(stage, "io", "left out", found["a2"][1], "stale", handler="md", verb="assemble", uuid=uuid, number=-1,
                    version=version, members=parts)
    must("slot 2" in error, "the slot", error)
    must(stage.vm.until("! ls -d /sys/block/md*", 10), "something is left")
    made = done(stage, "md", "assemble", uuid=uuid, number=-1, version=version, members=parts[:2])
    must(made["state"] == "read-auto", "degraded on purpose", made)
    stop_all(stage)


CASES.append(Case("executor_md_stale", "a stale member is named and what was made is taken back",
                  disks=stack_disks(), image=image, medium=Medium(None, ""), steps=[stale_member_steps], launches=False, wall_limit=WALL_LIMIT,
                  writes=("a0", "a1")))


# ---------------------------------------------------------------------- lvm

def table_here(stage, lines, devnos):
    """A manifest's table with the devices' numbers of this run."""
    table = []
    for line in lines:
        words = [devnos.get(w, w) for w in line.split()]
        table.append({"start": int(words[0]), "length": int(words[1]), "type": words[2], "params": " ".join(words[3:])})
    return table


def lvm_steps(stage):
    load_drivers(stage)
    load(stage, "raid1", "raid456", "dm_mod")
    done(stage, "md", "start_ro")
    found = disks(stage)
    devnos = {"disk:" + n: d for n, (_, d) in found.items()}
    for names in (("a0", "a1", "a2"), ("b0", "b1")):
        uuid, version, parts = members(stage, found, names)
        made = done(stage, "md", "assemble", uuid=uuid, number=-1, version=version, members=parts)
        devnos["md:" + uuid] = made["devno"]
    for devno in [d for n, d in devnos.items() if n.startswith("md:")] + [found["p0"][1]]:
        pv = read(stage, devno)
        must(pv["properties"]["ID_FS_TYPE"] == "LVM2_member" and pv["details"]["lvm"]["mda_usable"] == 1 and
             'vg-main {' in pv["details"]["lvm"]["metadata"], "label", pv)
    volumes = stage.manifest("tables")
    wishes = [wanted("lvm", "create", dm_name=n, dm_uuid=v["uuid"], read_only=False,
                     table=table_here(stage, v["table"], devnos)) for n, v in volumes.items()]
    first = effects(stage, *wishes, together=True)
    must(all(a["ok"] and not a["result"]["existed"] for a in first), "create", first)
    again = effects(stage, *wishes)
    must(all(a["ok"] and a["result"]["existed"] for a in again) and
         [a["result"]["kernel"] for a in again] == [a["result"]["kernel"] for a in first], "create again", again)
    for wish, answer in zip(wishes, first):
        name = wish["arguments"]["dm_name"]
        stage.vm.check("[ -b /dev/mapper/%s ]" % name)
        kernel = stage.vm.check("cat /sys/block/%s/dm/name" % answer["result"]["kernel"]).strip()
        must(kernel == name, "kernel name", kernel, name)
    must(stage.vm.check("dmsetup udevcookies").count("0x") == 0, "cookies are left")
    lvs = stage.vm.check("lvs --noheadings -o lv_active,lv_full_name 2>&1")
    must(lvs.count("active") == 4 and "WARNING" not in lvs, "lvs", lvs)
    for name, digest in stage.manifest("content").items():
        vg, lv = name.split("/")
        path = "/dev/mapper/%s-%s" % (vg.replace("-", "--"), lv.replace("-", "--"))
        must(sha(stage, path) == digest, "content of " + name)
    root = next(w for w in wishes if w["arguments"]["dm_name"] == "vg--main-root")["arguments"]
    # another table under the same UUID, the same name under another UUID, a device that somebody has
    refused(stage, "busy", "differs in table", handler="lvm", verb="create",
            **dict(root, table=[dict(root["table"][0], length=4096)]))
    refused(stage, "busy", "name is taken", handler="lvm", verb="create", **dict(root, dm_uuid="LVM-other"))
    refused(stage, "busy", "held by md", handler="lvm", verb="create", dm_name="x", dm_uuid="X-1", read_only=False,
            table=[{"start": 0, "length": 8, "type": "linear", "params": found["a0"][1] + " 0"}])
    refused(stage, "invalid", handler="lvm", verb="create", **dict(root, dm_name="../x", dm_uuid="X-2"))
    refused(stage, "invalid", "belongs to", handler="lvm", verb="remove", dm_name="x", dm_uuid=root["dm_uuid"])
    # an array under an LV cannot be stopped, an open LV not removed
    array = devnos["md:" + stage.manifest("arrays")["md0"]["uuid"]]
    refused(stage, "busy", "vg--main-root", handler="md", verb="stop", devno=array)
    stage.vm.check("exec 3< /dev/mapper/vg--main-root; echo '%s' | /vmtest/muster-effect | grep -q 'is open 1 times'" %
                   json.dumps(wanted("lvm", "remove", dm_name=root["dm_name"], dm_uuid=root["dm_uuid"])))
    removed = effects(stage, *[wanted("lvm", "remove", dm_name=w["arguments"]["dm_name"],
                                      dm_uuid=w["arguments"]["dm_uuid"]) for w in wishes * 2])
    must(all(a["ok"] for a in removed), "remove, and what is gone", removed)
    must(stage.vm.check("ls /dev/mapper").split() == ["control"], "nodes are left", stage.vm.run("ls -l /dev/mapper")[1])
    # read-only, and made by somebody who died before he gave it a table
    stage.vm.check("dmsetup create vg--main-root --uuid %s --notable" % root["dm_uuid"])
    made = done(stage, "lvm", "create", **dict(root, read_only=True))
    must(not made["existed"], "the empty one", made)
    must(stage.vm.check("cat /sys/block/%s/ro" % made["kernel"]).strip() == "1", "not read-only")
    done(stage, "lvm", "remove", dm_name=root["dm_name"], dm_uuid=root["dm_uuid"])
    stop_all(stage)


CASES.append(Case("executor_lvm", "linear and striped LVs through libdevmapper, as lvm2 itself would have made them",
                  disks=stack_disks(), image=image, medium=Medium(None, ""), steps=[lvm_steps], launches=False, wall_limit=WALL_LIMIT))


def lvm_tool_steps(stage):
    load_drivers(stage)
    load(stage, "dm_mod", "raid1", "dm-raid", "dm-thin-pool", "dm-mirror")
    found = disks(stage)
    label = read(stage, found["q0"][1])["details"]["lvm"]
    text = label["metadata"]
    vg_uuid = text[text.index("vgt {"):].split('id = "')[1].split('"')[0]
    # what lvm must not listen to
    stage.vm.check("mkdir -p /etc/lvm/devices /run/lvm/vgs_online; echo 'devices { global_filter=[\"r|.*|\"] }' >> "
                   "/etc/lvm/lvm.conf; echo 'IDTYPE=sys_wwid IDNAME=naa.1 DEVNAME=/dev/sdz PVID=x' > "
                   "/etc/lvm/devices/system.devices; touch /run/lvm/vgs_online/vgt")
    paths = ["/dev/" + found[n][0] for n in ("q0", "q1")]
    for lv in ("mirrored", "thin", "plain"):
        made = done(stage, "lvm", "activate", vg="vgt", lv=lv, vg_uuid=vg_uuid, devices=paths)
        must(made["kernel"].startswith("dm-") and made["status"] == 0, "activate", made)
        stage.vm.check("[ -b /dev/mapper/vgt-%s ]" % lv)
        must(sha(stage, "/dev/mapper/vgt-" + lv) == stage.manifest("content")["vgt/" + lv], "content of " + lv)
    stage.vm.check("[ ! -e /run/lvm/hints ]")
    refused(stage, "io", "vgt/nosuch", handler="lvm", verb="activate", vg="vgt", lv="nosuch", vg_uuid=vg_uuid,
            devices=paths)
    refused(stage, "io", handler="lvm", verb="activate", vg="vgt", lv="plain", vg_uuid="x" + vg_uuid[1:], devices=paths)
    refused(stage, "invalid", handler="lvm", verb="activate", vg="-vgt", lv="plain", vg_uuid=vg_uuid, devices=paths)
    stage.vm.check("exec 3< /dev/mapper/vgt-plain; echo '%s' | /vmtest/muster-effect | grep -q '\"code\":\"busy\"'" %
                   json.dumps(wanted("lvm", "deactivate", vg="vgt", lv="plain", vg_uuid=vg_uuid, devices=paths)))
    done(stage, "lvm", "deactivate", vg="vgt", lv="plain", vg_uuid=vg_uuid, devices=paths)
    # with no device to read the group from, the maps are taken down one by one; the pool goes with its last volume
    for lv in ("thin", "mirrored"):
        done(stage, "lvm", "deactivate", vg="vgt", lv=lv, vg_uuid=vg_uuid, devices=[])
    must(stage.vm.check("dmsetup ls").strip() == "No devices found", "maps are left", stage.vm.run("dmsetup ls --tree")[1])
    # an incomplete mirror is not activated
    refused(stage, "io", handler="lvm", verb="activate", vg="vgt", lv="mirrored", vg_uuid=vg_uuid, devices=paths[:1])


CASES.append(Case("executor_lvm_tool", "raid1 and thin LVs through lvm, deaf to the machine's own configuration",
                  disks=[Disk(n, "lvmtypes") for n in ("q0", "q1")], image=image, medium=Medium(None, ""),
                  steps=[lvm_tool_steps], launches=False, wall_limit=WALL_LIMIT, writes=("q0", "q1")))


# -------------------------------------------------------------------- probe

def mirrors_steps(stage):
    """Metadata at the end: what is seen at the start is the array's content."""
    load_drivers(stage)
    load(stage, "raid1")
    found = disks(stage)
    for name, version, udev_version in (("m0", "0.90", "0.90.0"), ("n0", "1.0", "1.0")):
        seen = read(stage, found[name][1])
        properties = seen["properties"]
        must(properties["ID_FS_TYPE"] == "linux_raid_member" and properties["ID_FS_VERSION"] == udev_version and
             seen["details"]["md"]["version"] == version and "ID_FS_LABEL" not in properties or
             properties.get("ID_FS_LABEL") != "mirrored", "member", seen)
        must("lvm" not in seen["details"] and seen["diskseq"] > 0 and seen["size"] == 16 << 20, "details", seen)
        must(properties["ID_FS_UUID"].replace("-", "") == seen["details"]["md"]["uuid"].replace(":", ""), "uuid", seen)
    done(stage, "md", "start_ro")
    uuid, version, parts = members(stage, found, ("m0", "m1"))
    made = done(stage, "md", "assemble", uuid=uuid, number=-1, version=version, members=parts)
    inside = read(stage, made["devno"])["properties"]
    must(inside["ID_FS_TYPE"] == "ext4" and inside["ID_FS_LABEL_ENC"] == "mirrored" and
         inside["ID_FS_UUID"] == "11111111-2222-4333-8444-555555555555" and inside["ID_FS_USAGE"] == "filesystem",
         "the array's content", inside)
    stop_all(stage)
    answer, = effects(stage, wanted("probe", "read", devno="240:1", optical=False, partition=False))
    must(answer.get("code") == "not_found", "a device that is not there", answer)
    must(stage.vm.check("stat -c %a /run/muster/dev").strip() == "700", "our nodes' directory")


CASES.append(Case("executor_probe", "members with metadata at the end, their content, what is not there",
                  disks=[Disk(n, "mirrors") for n in ("m0", "m1", "n0", "n1")], image=image, medium=Medium(None, ""),
                  steps=[mirrors_steps], launches=False, wall_limit=WALL_LIMIT))


def drive_steps(stage):
    load_drivers(stage)
    load(stage, "isofs", "sr_mod")
    stage.vm.check("echo 300 > /sys/block/sr0/events_poll_msecs")
    devno = stage.vm.check("cat /sys/block/sr0/dev").strip()

    def state():
        return read(stage, devno, optical=True)

    def changes():
        return int(stage.vm.check("grep -c 'change@.*/sr0 ' /vmtest/uevents || true").strip() or 0)

    must(state()["drive"] == "no_disc", "empty", state())
    for turn in range(3):  # each change is announced although nobody but the probe opens the drive
        before = changes()
        stage.hardware.insert("disc1")
        must(stage.vm.until("[ $(grep -c 'change@.*/sr0 ' /vmtest/uevents) -gt %d ]" % before, 15),
             "insertion %d is not announced" % turn)
        with_disc = state()
        must(with_disc["drive"] == "data" and with_disc["properties"]["ID_FS_TYPE"] == "iso9660" and
             with_disc["size"] > 0 and with_disc["diskseq"] > 0, "disc", with_disc)
        before = changes()
        stage.hardware.open_tray()
        opened = state()
        must(opened["drive"] in ("tray_open", "not_ready"), "tray", opened)
        must(stage.vm.until("true", 1) and tray_is_open(stage), "the probe closed the tray")
        stage.hardware.take_out()
        must(state()["drive"] == "no_disc" and state()["properties"] == {}, "taken out", state())
    stage.hardware.insert("discblank")
    stage.vm.after(1500)
    blank = state()
    must(blank["drive"] in ("data", "blank") and blank["properties"] == {}, "blank", blank)


def tray_is_open(stage):
    for device in stage.vm.qmp("query-block"):
        if device.get("qdev", "").endswith("cd"):
            return device.get("tray_open", False)
    raise witness.Failed("QEMU does not know the drive")


CASES.append(Case("executor_drive", "an optical drive: empty, disc, tray open, again and again; the tray is never moved",
                  image=image, medium=Medium(None, "scsi-cd"), discs={"disc1": medium.disc(recipes.STACK_BACKUP),
                                                                   "discblank": medium.blank()},
                  steps=[drive_steps], launches=False, wall_limit=WALL_LIMIT))
