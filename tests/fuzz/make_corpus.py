#!/usr/bin/env python3
"""Makes the corpora of the md and LVM fuzzers from tests/fixtures, and of import's from tests/replay/imports. Files that fuzzing found are added by hand.

    make_corpus.py
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "../fixtures")
MD = ["v090-l5-0", "v090-l0-0", "v10-l1-0", "v11-l10-1", "v12-l5-0", "v12-l0-0", "v12-llinear-1", "bitmap-10-0",
      "spare-12-2", "spare-090-2", "degraded-090-0", "dirty-12-0", "resync1-090-0", "rebuild-12-1", "replace-12-2",
      "journal-12-j", "ppl-12-0", "reshape-12-0", "reshape-090-0", "mostly-12-1", "name-12-0", "nested-0"]


def load(name):
    lines = open(os.path.join(FIXTURES, name + ".image")).read().split("\n")
    size = int(lines[0].split()[1])
    image = {int(a, 16): bytes.fromhex(b) for a, b in (line.split() for line in lines[1:] if line)}
    return size, image


def piece(image, at, length):
    out = bytearray(length)
    for a, data in image.items():
        lo, hi = max(a, at), min(a + len(data), at + length)
        if lo < hi:
            out[lo - at:hi - at] = data[lo - a:hi - a]
    return bytes(out)


def save(corpus, name, data):
    os.makedirs(os.path.join(HERE, "corpus", corpus), exist_ok=True)
    with open(os.path.join(HERE, "corpus", corpus, name), "wb") as f:
        f.write(data)


IMPORTS = os.path.join(HERE, "../replay/imports")


def blocks(name, words, most):
    """The blocks of a log that speak of storage: enough for a fuzzer, and small."""
    text = open(os.path.join(IMPORTS, name), encoding="utf-8").read()
    found = [b for b in text.split("\n\n") if any(w in b for w in words)]
    return ("\n\n".join(found[:most]) + "\n").encode()


def imports():
    for name in ("stack-boot-udev", "stack-hotplug-both", "disc-kernel", "stick-both"):
        save("udevadm_monitor", name, blocks(name + ".monitor", ("SUBSYSTEM=block", "/module/"), 14))
    for name in ("stack-boot", "levels", "lvmtypes", "disc"):
        save("udevadm_database", name, blocks(name + ".database", ("U: block", "PCI_CLASS=1"), 14))
    for name in ("stack-hotplug", "levels", "stick"):
        save("umockdev_record", name, blocks(name + ".umockdev", ("SUBSYSTEM=block", "E: DRIVER=sd"), 4))
    for scenario in ("stack-boot", "levels", "lvmtypes"):
        report = os.path.join(IMPORTS, scenario + ".sosreport")
        for path in ("proc/mdstat", "proc/partitions", "sos_commands/block/lsblk", "sos_commands/block/fdisk_-l_.dev.vda",
                     "sos_commands/md/mdadm_-D_.dev.md", "sos_commands/block/udevadm_info_-a_.dev.vda"):
            if os.path.exists(os.path.join(report, path)):
                save("storage_seen", scenario + "." + os.path.basename(path),
                     open(os.path.join(report, path), "rb").read())
        for folder in ("sos_commands/lvm2", "etc/lvm/backup"):
            for name in sorted(os.listdir(os.path.join(report, folder)) if os.path.isdir(os.path.join(report, folder))
                               else []):
                save("storage_seen", scenario + "." + name[:20], open(os.path.join(report, folder, name), "rb").read())
    save("storage_seen", "levels.examine", open(os.path.join(IMPORTS, "levels.examine"), "rb").read())


def main():
    imports()
    for name in MD:
        size, image = load("md/" + name)
        at = [size // 65536 * 65536 - 65536, (size // 512 - 16) // 8 * 8 * 512, 0, 4096]
        for version in range(4):
            window = piece(image, at[version], 4096)
            if window[:4] == b"\xfc\x4e\x2b\xa9":
                save("md_superblock", "%s.%d" % (name, version),
                     struct.pack("<BQ", version, size) + window.rstrip(b"\0"))
    for name in sorted(os.listdir(FIXTURES + "/lvm")):
        if not name.endswith(".image"):
            continue
        name = name[:-6]
        size, image = load("lvm/" + name)
        head = piece(image, 0, 2048)
        save("lvm_label", name + ".head", head)
        if piece(image, 4100, 16) != b" LVM2 x[5A%r0N*>":
            continue
        start, length = struct.unpack("<QQ", piece(image, 4096 + 40, 16))
        area, = struct.unpack("<Q", piece(image, 4096 + 32, 8))
        if start == 0:
            continue
        first = min(length, area - start)
        text = piece(image, 4096 + start, first) + piece(image, 4096 + 512, length - first)
        save("lvm_metadata", name, text.rstrip(b"\0"))
        # The text moved to the start of its area, where a short input can hold it. The checksums do not hold any
        # more; the fuzzer puts them right.
        header = bytearray(piece(image, 4096, 512))
        struct.pack_into("<Q", header, 40, 512)
        save("lvm_label", name, piece(image, 0, 4096) + bytes(header) + text.rstrip(b"\0"))


main()
