"""Restore media as Mondo lays them out: an ISO image with archives/ and images/ (data disks and all.tar.gz)."""
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field

from . import debian
from .paths import cache, program


@dataclass(frozen=True)
class Backup:
    """One backup: what mindi and mondoarchive wrote about the machine."""
    mountlist: str
    kind: str = "cdr"                      # backup-media-type
    raidtab: str = ""
    wants_lvm: str = ""                    # text of i-want-my-lvm, "" for none
    serial: str = "vmtest-serial-1"
    files_in_filelist: int = 311
    last_filelist: int = 2
    slices: int = 0
    iso_prefix: str = "web7"
    config_extra: str = ""
    fstab: str = "/dev/md0 / ext4 defaults 0 1\n"
    tools: dict = field(default_factory=dict)   # path -> bytes, or (bytes, mode), for a data disk of their own

    def config(self):
        return ("files-in-filelist %d\nlast-filelist-number %d\nuse-lzo no\nuse-star no\nuse-comp yes\n"
                "datestamp Tue Mar  4 10:12:44 UTC 2025\ntotal-slices %d\niso-prefix %s\n"
                "bootloader.device /dev/sda\nbootloader.name GRUB\nbackup-media-type %s\ndifferential 0\n%s"
                % (self.files_in_filelist, self.last_filelist, self.slices, self.iso_prefix, self.kind,
                   self.config_extra))

    def boot_files(self):
        """What mindi puts into the image that boots."""
        return {"tmp/mondo-restore.cfg": self.config(), "tmp/mountlist.txt": self.mountlist,
                **({"tmp/i-want-my-lvm": self.wants_lvm} if self.wants_lvm else {})}


def _archive(members):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        directories = set()
        for path, content in members.items():
            content, mode = content if isinstance(content, tuple) else (content, 0o644)
            parts = path.split("/")[:-1]
            for i in range(1, len(parts) + 1):
                name = "/".join(parts[:i])
                if name not in directories:
                    directories.add(name)
                    info = tarfile.TarInfo(name)
                    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1700000000
                    tar.addfile(info)
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = len(content), mode, 1700000000
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), 6, mtime=0)


def disc_files(backup, number=1, last=True):
    """Path -> bytes of one disc of the backup."""
    files = {"archives/THIS-CD-NUMBER": str(number).encode(),
             "archives/SERIAL-STRING": (backup.serial + "\n").encode(),
             "archives/%d.afio.bz2" % (number - 1): b"fileset" * 4096}
    if not last:
        files["archives/NOT-THE-LAST"] = b"\n"
    if number == 1:
        disks = [{"usr/share/vmtest-tools": "tools of disc 1\n"}]
        if backup.tools:
            disks.append(dict(backup.tools))
        final = {"tmp/mondo-restore.cfg": backup.config(), "tmp/mountlist.txt": backup.mountlist,
                 "etc/fstab": backup.fstab}
        if backup.raidtab:
            final["etc/raidtab"] = backup.raidtab
        if backup.wants_lvm:
            final["tmp/i-want-my-lvm"] = backup.wants_lvm
        disks.append(final)
        everything = {}
        for index, members in enumerate(disks, 1):
            files["images/%d.tar.gz" % index] = _archive(members)
            everything.update(members)
        everything["tmp/filelist.full.gz"] = gzip.compress(b"/etc/motd\n", mtime=0)
        everything["tmp/biggielist.txt"] = "\n"
        files["images/all.tar.gz"] = _archive(everything)
        files["archives/filelist.0"] = b"/etc/motd\n"
        files["archives/filelist.full.gz"] = everything["tmp/filelist.full.gz"]
        files["archives/biggielist.txt"] = b"\n"
    return files


def iso(files, label="MONDO"):
    """An ISO 9660 image of these files; cached by content."""
    digest = hashlib.sha256(json.dumps([label] + [(p, hashlib.sha256(c).hexdigest()) for p, c in sorted(files.items())])
                            .encode()).hexdigest()[:16]
    path = cache("media", digest + ".iso")
    with debian.locked("media"):
        if not path.exists():
            directory = path.with_suffix(".d")
            shutil.rmtree(directory, ignore_errors=True)
            for name, content in files.items():
                target = directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                os.utime(target, (1700000000, 1700000000))
            part = path.with_suffix(".tmp")
            subprocess.run([program("genisoimage"), "-quiet", "-J", "-R", "-V", label, "-o", str(part), str(directory)],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            os.replace(part, path)
            shutil.rmtree(directory)
    return path


def disc(backup, number=1, last=True):
    return iso(disc_files(backup, number, last), "MONDO%d" % number)


def blank():
    """A disc on which nothing was ever written reads as nothing."""
    path = cache("media", "blank.img")
    with debian.locked("media"):
        if not path.exists():
            with open(path, "wb") as image:
                image.truncate(4 << 20)
    return path
