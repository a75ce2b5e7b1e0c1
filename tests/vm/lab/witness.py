"""What a case may demand. Each function returns an expectation: called with the Stage, it raises Failed or is silent."""
import hashlib
import json
import re


class Failed(Exception):
    """The verdict on a case."""


def disk_hashes(paths):
    result = {}
    for name, path in paths.items():
        digest = hashlib.sha256()
        with open(path, "rb") as image:
            for block in iter(lambda: image.read(1 << 20), b""):
                digest.update(block)
        result[name] = digest.hexdigest()
    return result


def _equal(what, found, wanted):
    if found != wanted:
        raise Failed("%s: %s, expected %s" % (what, json.dumps(found), json.dumps(wanted)))


def started_once(argument):
    """Right program, one argument, root, on a terminal of its own, exactly once."""
    def check(stage):
        start = stage.report["start"] or {}
        _equal("starts", start.get("starts"), 1)
        _equal("arguments", start.get("argv", [])[1:], [argument])
        _equal("uid", start.get("uid"), 0)
        path = start["environment"].get("PATH", "").split(":")
        for directory in ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/mondo"):
            if directory not in path:
                raise Failed("PATH lacks %s: %s" % (directory, path))
        if not start["environment"].get("TERM"):
            raise Failed("TERM is not set")
        if not (start["has_controlling_tty"] and start["stdin_tty"] and start["stdout_is_tty"]):
            raise Failed("no controlling terminal: %s" % {k: start[k] for k in start if "tty" in k})
    return check


def files(*present, absent=(), **contains):
    """Files that mondorestore expects; keywords (cfg, mountlist, ...) demand a text in one of them."""
    names = {"cfg": "/tmp/mondo-restore.cfg", "mountlist": "/tmp/mountlist.txt", "raidtab": "/etc/raidtab",
             "lvm": "/tmp/i-want-my-lvm", "cdrom_lives": "/tmp/CDROM-LIVES-HERE", "fstab": "/etc/fstab"}

    def check(stage):
        found = stage.report["files"] or {}
        for path in present:
            if not found.get(path):
                raise Failed("%s is missing" % path)
        for path in absent:
            if found.get(path):
                raise Failed("%s is there: %r" % (path, found[path]["text"][:200]))
        for key, text in contains.items():
            entry = found.get(names[key])
            if not entry or text not in entry["text"]:
                raise Failed("%s does not contain %r: %r" % (names[key], text, entry and entry["text"][:400]))
    return check


MONDO_FILES = ("/tmp/mondo-restore.cfg", "/tmp/mountlist.txt", "/tmp/mountlist.original", "/tmp/fstab",
               "/THIS-IS-A-RAMDISK", "/tmp/CDROM-LIVES-HERE", "/usr/share/vmtest-tools")


def medium(number="1", serial=None):
    """/dev/cdrom can be umounted and mounted again as mondorestore does it, and is this disc."""
    def check(stage):
        found = stage.report["medium"] or {}
        if found.get("mount_errno") != 0 or found.get("umount_errno") not in (0, 22):
            raise Failed("mondorestore's own mount of /dev/cdrom fails: %s" % found)
        _equal("disc number", found.get("THIS-CD-NUMBER"), number)
        if serial:
            _equal("serial of the backup", found.get("SERIAL-STRING"), serial)
    return check


def iso_reachable():
    def check(stage):
        found = (stage.report["medium"] or {}).get("iso")
        if not found or found[0]["loop_mount"] != 0 or found[0]["THIS-CD-NUMBER"] != "1":
            raise Failed("the ISO file is not reachable below a mount point: %s" % found)
    return check


def arrays(*names, states=("read-auto", "clean", "active")):
    """These arrays of the manifests run, whole, with nothing under way, and no other array is there."""
    def check(stage):
        wanted = {entry["uuid"]: (name, entry) for name, entry in stage.manifest("arrays").items() if name in names}
        found = stage.report.arrays()
        if set(found) != set(wanted):
            raise Failed("arrays: found %s, expected %s" % (sorted(found), {u: n for u, (n, _) in wanted.items()}))
        for uuid, (name, entry) in wanted.items():
            array = found[uuid]
            _equal("level of " + name, array["level"], entry["level"])
            _equal("missing members of " + name, array["degraded"], "0")
            _equal("members of " + name, len(array["members"]), int(entry["devices"]))
            if array["sync"] != "idle" or array["state"] not in states:
                raise Failed("%s: state %s, %s" % (name, array["state"], array["sync"]))
    return check


def volumes(*names, absent=()):
    """These LVs are active exactly as lvm2 itself activates them: dm name, UUID and table, /dev links, and `lvs` agrees."""
    def check(stage):
        maps, tables = stage.report.maps(), stage.manifest("tables")
        links = stage.report["links"] or {}
        listed = _lvs(stage)
        for name in names:
            group, volume = name.split("/")
            mapped = "%s-%s" % (group.replace("-", "--"), volume.replace("-", "--"))
            if mapped not in maps:
                raise Failed("%s is not active; dm has %s" % (name, sorted(maps)))
            wanted = tables[mapped]
            _equal("dm UUID of " + name, maps[mapped]["uuid"], wanted["uuid"])
            _equal("table of " + name, maps[mapped]["table"], wanted["table"])
            if maps[mapped]["suspended"]:
                raise Failed("%s is suspended" % name)
            for link in ("/dev/%s" % name, "/dev/mapper/" + mapped):
                if link not in links:
                    raise Failed("%s is missing" % link)
            row = listed.get(name)
            if not row or len(row["lv_attr"]) < 5 or row["lv_attr"][4] != "a" or row.get("lv_active") != "active":
                raise Failed("lvs does not show %s as active: %s" % (name, row))
        for name in absent:
            mapped = "%s-%s" % tuple(p.replace("-", "--") for p in name.split("/"))
            if mapped in maps:
                raise Failed("%s is active, and must not be" % name)
    return check


def active(*names):
    """These LVs are active and lvs agrees; their tables are lvm's own business."""
    def check(stage):
        listed = _lvs(stage)
        for name in names:
            row = listed.get(name)
            if not row or row.get("lv_active") != "active":
                raise Failed("lvs does not show %s as active: %s" % (name, row))
    return check


def _lvs(stage):
    text = (stage.report["lvs"] or {}).get("output", "")
    try:
        rows = json.loads(text)["report"][0]["lv"]
    except (ValueError, KeyError, IndexError) as error:
        raise Failed("lvs gives no JSON: %r" % text[:400]) from error
    return {"%s/%s" % (r["vg_name"], r["lv_name"]): r for r in rows}


def lvm_content():
    """lvm itself has nothing to complain about."""
    def check(stage):
        said = (stage.report["lvm_says"] or {}).get("output", "").strip()
        lines = [line for line in said.splitlines() if line.strip()]
        if lines:
            raise Failed("lvm complains: %s" % lines[:5])
    return check


def contents(*names):
    """SHA-256 of what these devices hold is what their maker wrote."""
    def check(stage):
        wanted = stage.manifest("content")
        for name in names or stage.case.hashes:
            _equal("content of " + name, (stage.report["hashes"] or {}).get("/dev/" + name), wanted[name])
    return check


def links(**wanted):
    """by_uuid={value: identity}, by_label=, by_partuuid=, by_partlabel=: links under /dev/disk lead to these devices."""
    def check(stage):
        found = stage.report.links()
        for kind, entries in wanted.items():
            for value, identity in entries.items():
                path = "/dev/disk/%s/%s" % (kind.replace("_", "-"), value)
                _equal(path, found.get(path), identity)
    return check


def nothing_assembled(*disks):
    """No array, no dm device, no mount holds anything of these disks."""
    def check(stage):
        for name, block in (stage.report["block"] or {}).items():
            identity = stage.report.identity(block["dev"])
            if identity.split(":")[-1] in disks and identity.startswith("disk:"):
                holders = block["holders"] + [h for p in block["partitions"].values() for h in p["holders"]]
                if holders:
                    raise Failed("%s (%s) is held by %s" % (identity, name, holders))
    return check


def hands_off():
    """What was set for gathering is set back before the launch."""
    def check(stage):
        if (stage.report["start_ro"] or "0").strip() not in ("0", "N"):
            raise Failed("md_mod.start_ro is still %r" % stage.report["start_ro"])
    return check


def on_console(*texts):
    def check(stage):
        console = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stage.console())
        for text in texts:
            if text not in console:
                raise Failed("%r is not on the console; its end is %r" % (text, console[-600:]))
    return check
