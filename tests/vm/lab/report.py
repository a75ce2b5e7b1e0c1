"""The stand-in's report, read: who is who by identity, and a digest that leaves out kernel names and numbers."""
import re


class Report:
    def __init__(self, entries):
        self.sections = {}
        for entry in entries:
            self.sections[entry["section"]] = entry["value"]
        self._identities = self._identify()

    def __getitem__(self, name):
        return self.sections.get(name)

    # ------------------------------------------------------------ identity

    def _array_uuids(self):
        """Kernel name -> UUID as mdadm writes it (this kernel's sysfs has none)."""
        uuids, name = {}, None
        for line in (self["mdadm"] or {}).get("output", "").splitlines():
            key, _, value = line.partition("=")
            if key == "ARRAY":
                name = value
            elif key == "MD_UUID" and name:
                uuids[name] = value
        return uuids

    def _identify(self):
        found = {}
        uuids = self._array_uuids()
        for name, block in (self["block"] or {}).items():
            if "md" in block:
                identity = "md:" + (uuids.get(name) or name)
            elif "dm" in block:
                identity = "dm:" + (block["dm"]["uuid"] or block["dm"]["name"])
            else:
                serial = block.get("serial") or ("VMCD" if name.startswith("sr") else "")
                identity = "disk:" + (serial[2:] if serial.startswith("VM") else serial or "no serial")
            found[block["dev"]] = identity
            for partition in block.get("partitions", {}).values():
                found[partition["dev"]] = "%s:%s" % (identity, partition["partition"])
        return found

    def identity(self, devno):
        return self._identities.get(devno, devno)

    # --------------------------------------------------------------- parts

    def arrays(self):
        """UUID -> level, state, degraded, sync, members {slot: identity}."""
        result = {}
        names = {}
        for name, block in (self["block"] or {}).items():
            names[name] = block["dev"]
            for partition, below in block.get("partitions", {}).items():
                names[partition] = below["dev"]
        for name, block in (self["block"] or {}).items():
            if "md" not in block:
                continue
            md = block["md"]
            if md.get("array_state") in (None, "clear"):
                continue
            members = {m["slot"]: self.identity(names.get(k.replace("!", "/"), k)) for k, m in md["members"].items()}
            result[self.identity(block["dev"])[3:]] = {
                "name": name, "level": md["level"], "state": md["array_state"], "degraded": md["degraded"] or "0",
                "sync": md["sync_action"] or "idle", "members": members}
        return result

    def maps(self):
        """dm name -> uuid and table, the devices in it by identity."""
        result = {}
        for name, entry in (self["dm"] or {}).items():
            table = [" ".join(self.identity(w) if re.fullmatch(r"\d+:\d+", w) else w for w in line.split())
                     for line in entry["table"]]
            result[name] = {"uuid": entry["uuid"], "table": table, "suspended": entry["suspended"]}
        return result

    def links(self):
        return {path: self.identity(entry["dev"]) for path, entry in (self["links"] or {}).items() if entry["link"]}

    def digest(self):
        """What must be equal whatever the order of arrival was."""
        start, medium = self["start"] or {}, self["medium"] or {}
        arrays = {u: {k: v for k, v in a.items() if k != "name"} for u, a in self.arrays().items()}
        files = {}
        for path, entry in (self["files"] or {}).items():
            files[path] = entry["sha256"] if entry and path != "/tmp/CDROM-LIVES-HERE" else bool(entry)
        disks = {}
        for block in (self["block"] or {}).values():
            identity = self.identity(block["dev"])
            if identity.startswith("disk:"):
                disks[identity] = {"size": block["size"], "ro": block["ro"]}
        mounts = []
        for line in (self["mounts"] or "").splitlines():
            words = line.split()
            if len(words) > 3 and words[1].startswith(("/mnt", "/tmp/")):
                mounts.append((words[1], words[2]))
        return {"argv": start.get("argv"), "environment": {k: start.get("environment", {}).get(k)
                                                           for k in ("PATH", "TERM")},
                "starts": start.get("starts"), "arrays": arrays, "maps": self.maps(), "links": self.links(),
                "files": files, "disks": disks, "hashes": self["hashes"], "mounts": sorted(mounts),
                "medium": {k: medium.get(k) for k in ("THIS-CD-NUMBER", "SERIAL-STRING", "mount_errno", "iso")}}
