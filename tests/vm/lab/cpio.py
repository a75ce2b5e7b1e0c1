"""Writes initramfs archives (cpio newc) and finds what a dynamic program needs."""
import os
import stat
import struct
from pathlib import Path

from .paths import StageError

LIBRARY_DIRS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "lib", "usr/lib")


class Tree:
    """An initramfs in memory: path -> (mode, bytes or (major, minor))."""

    def __init__(self):
        self._entries = {}

    def directory(self, path, mode=0o755, parents=True):
        path = path.strip("/")
        if not path:
            return
        if parents:
            self.directory(os.path.dirname(path))
        self._entries.setdefault(path, (stat.S_IFDIR | mode, b""))

    def data(self, path, content, mode=0o644, parents=True):
        """parents=False leaves out directory entries: an archive that is appended to another must not replace a
        symbolic link such as /sbin by a directory."""
        path = path.strip("/")
        if parents:
            self.directory(os.path.dirname(path))
        if isinstance(content, str):
            content = content.encode()
        self._entries[path] = (stat.S_IFREG | mode, content)

    def file(self, path, host_path, mode=None, parents=True):
        host_path = Path(host_path)
        if mode is None:
            mode = stat.S_IMODE(host_path.stat().st_mode)
        self.data(path, host_path.read_bytes(), mode, parents)

    def link(self, path, target):
        self.directory(os.path.dirname(path.strip("/")))
        self._entries[path.strip("/")] = (stat.S_IFLNK | 0o777, target.encode())

    def node(self, path, kind, major, minor, mode=0o600):
        self.directory(os.path.dirname(path.strip("/")))
        self._entries[path.strip("/")] = ((stat.S_IFCHR if kind == "c" else stat.S_IFBLK) | mode, (major, minor))

    def program(self, path, host_path, roots=()):
        """A dynamic program with the shared libraries that it needs, searched below roots first."""
        self.file(path, host_path, 0o755)
        for library in needed_libraries(host_path, roots):
            where = "/lib64/" if library.name.startswith("ld-linux") else "/lib/x86_64-linux-gnu/"
            self.data(where + library.name, library.read_bytes(), 0o755)

    def pack(self):
        parts = []
        for number, (path, (mode, content)) in enumerate(
                sorted(self._entries.items(), key=lambda e: (e[0].count("/"), e[0])), 1):
            device = (0, 0)
            if isinstance(content, tuple):
                device, content = content, b""
            parts.append(_entry(path, mode, content, number, device))
        parts.append(_entry("TRAILER!!!", 0, b"", 0, (0, 0)))
        packed = b"".join(parts)
        return packed + b"\0" * (-len(packed) % 512)


def _entry(name, mode, content, number, device):
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, device[0], device[1], len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
    header += b"\0" * (-len(header) % 4)
    return header + content + b"\0" * (-len(content) % 4)


def _dynamic(path):
    """(interpreter, needed sonames, rpaths) of a 64-bit little-endian ELF file."""
    image = Path(path).read_bytes()
    if image[:6] != b"\x7fELF\x02\x01":
        return None, [], []
    table, = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    loads, dynamic, interpreter = [], None, None
    for index in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", image, table + index * size)
        if kind == 1:
            loads.append((address, offset, length))
        elif kind == 2:
            dynamic = (offset, length)
        elif kind == 3:
            interpreter = image[offset:offset + length].rstrip(b"\0").decode()
    if dynamic is None:
        return interpreter, [], []
    needed, paths, strings = [], [], 0
    for at in range(dynamic[0], sum(dynamic), 16):
        tag, value = struct.unpack_from("<qQ", image, at)
        if tag == 1:
            needed.append(value)
        elif tag == 5:
            strings = value
        elif tag in (15, 29):
            paths.append(value)
        elif tag == 0:
            break
    for address, offset, length in loads:
        if address <= strings < address + length:
            strings = offset + strings - address
            break

    def text(value):
        return image[strings + value:image.index(b"\0", strings + value)].decode()

    return interpreter, [text(v) for v in needed], [d for v in paths for d in text(v).split(":")]


def needed_libraries(program, roots=()):
    directories = [Path(root) / d for root in (*roots, "/") for d in LIBRARY_DIRS]
    unvisited, seen, found = [Path(program)], set(), []
    while unvisited:
        path = unvisited.pop()
        interpreter, needed, extra = _dynamic(path)
        if interpreter and interpreter not in seen:
            seen.add(interpreter)
            found.append(Path(interpreter))
        for name in needed:
            if name in seen:
                continue
            seen.add(name)
            candidates = [Path(e.replace("$ORIGIN", str(path.parent))) for e in extra] + directories
            for directory in candidates:
                if (directory / name).exists():
                    found.append(directory / name)
                    unvisited.append(directory / name)
                    break
            else:
                raise StageError("%s needs %s, which is not here" % (path, name))
    return found
