"""The image under test: muster-mkinitramfs once per distinct input, a small archive of the case behind it."""
import hashlib
import os
import subprocess
from pathlib import Path

from . import cpio, debian, guestkit
from .paths import CACHE_DIR, SOURCE_DIR, StageError, cache


# Unpacking the builder's usual set of drivers costs an emulated machine ten seconds and more. Most cases boot an image
# with the drivers of QEMU's hardware alone (still every one a module, still found by its alias); some take the usual set.
LEAN = ("--compress", "none", "--driver", "none", *(word for name in (
    "virtio_pci", "virtio_scsi", "virtio_blk", "nvme", "ahci", "xhci_pci", "usb_storage", "uas", "sd_mod", "sr_mod", "isofs",
    "ext4", "loop", "raid0", "raid1", "raid10", "raid456", "linear", "dm_mod", "dm_raid", "dm_mirror", "dm_snapshot",
    "dm_thin_pool", "crc32c_generic", "crc32c_intel", "nls_ascii", "nls_utf8") for word in ("--driver", name)))
FULL = ()

PROGRAMS = ("musterd", "muster", "muster-init", "muster-modprobe", "muster-unpack", "muster-modindex", "muster-mkcpio",
            "no-libcrypto.so.3", "no-libsystemd.so.0", "no-libselinux.so.1")


def program_dir():
    """One folder with all our programs: MUSTER_BIN, or gathered from the release build, or the dev build."""
    chosen = os.environ.get("MUSTER_BIN")
    if chosen:
        return Path(chosen).resolve()
    missing = []
    for preset in ("release", "dev"):
        build = SOURCE_DIR / "build" / preset
        found = {}
        for name in PROGRAMS:
            for folder in ("bin", "daemon", "initramfs"):
                if (build / folder / name).is_file():
                    found[name] = build / folder / name
        if len(found) == len(PROGRAMS):
            gathered = cache("programs-" + preset, "musterd").parent
            for name, path in found.items():
                link = gathered / name
                if not link.is_symlink() or os.readlink(link) != str(path):
                    link.unlink(missing_ok=True)
                    link.symlink_to(path)
            return gathered
        missing.append("%s lacks %s" % (build, ", ".join(n for n in PROGRAMS if n not in found)))
    raise StageError("our programs are not built: %s\n(cmake --preset release && cmake --build --preset release)"
                     % "; ".join(missing))


def _digest(paths, words):
    digest = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        if path.is_file():
            digest.update(str(path).encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def built(options=(), modules=True):
    """The path of the image that muster-mkinitramfs makes with these further options."""
    bin_dir, builder = program_dir(), SOURCE_DIR / "initramfs" / "muster-mkinitramfs"
    if not builder.exists():
        raise StageError("no %s" % builder)
    kernel, (tools, names) = debian.kernel(), debian.tools()
    rules = SOURCE_DIR / "rules"
    inputs = [*bin_dir.iterdir(), builder, *rules.glob("*.rules")]
    path = cache("initrd", _digest(inputs, [kernel.version, str(modules), *names, *options]) + ".img")
    with debian.locked("initrd"):
        if not path.exists():
            for old in (CACHE_DIR / "initrd").glob("*.img"):
                if old.stat().st_mtime < path.parent.stat().st_mtime - 3600:
                    old.unlink()
            part = path.with_suffix(".part")
            tree = ["--modules", str(kernel.modules)] if modules else ["--no-modules"]
            command = [str(builder), *tree, "--output", str(part), "--bin", str(bin_dir), "--rules", str(rules), "--root", str(tools), *options]
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode != 0:
                raise StageError("muster-mkinitramfs failed: %s\n%s" % (" ".join(command), result.stderr))
            os.replace(part, path)
    return path


def appended(base, into, files=None, standin=True):
    """base with the stage and these files (path -> content) behind it, as one initrd."""
    tree = cpio.Tree()
    guestkit.add_stage(tree, standin)
    for path, content in (files or {}).items():
        content, mode = content if isinstance(content, tuple) else (content, 0o644)
        tree.data(path, content, mode, parents=path.startswith("vmtest/"))
    packed = tree.pack()
    with open(into, "wb") as out:
        content = Path(base).read_bytes() if base else b""
        out.write(content)
        out.write(b"\0" * (-len(content) % 512))
        out.write(packed)
    return into
