"""One boot of one contender in one arrangement, and what is read from it."""
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import time

from lab import cpio, debian, guestkit, hotplug, images
from lab.paths import BUILD_DIR, StageError, cache, program
from lab.qemu import GuestTimeout, Machine

from . import HERE

# The hardware of all arrangements, and what any of the contenders loads; every one a module, found by its alias.
MODULES = ("virtio_pci", "virtio_scsi", "virtio_blk", "nvme", "ahci", "xhci_pci", "usb_storage", "uas", "sd_mod", "sr_mod", "isofs",
           "udf", "ext4", "loop", "raid0", "raid1", "raid10", "raid456", "linear", "multipath", "dm_mod", "dm_raid", "dm_mirror",
           "dm_snapshot", "dm_thin_pool", "dm_crypt", "dm_multipath", "crc32c_generic", "crc32c_intel", "crct10dif_generic",
           "crct10dif_pclmul", "nls_ascii", "nls_utf8", "nls_cp437")


def compiled(name, *flags):
    return guestkit.compiled(name, HERE / "guest", ("-I", str(guestkit.GUEST_DIR), *flags))


def _made(kind, key, make):
    """A file in the cache, made once for each key."""
    path = cache("boot", "%s-%s" % (kind, hashlib.sha256(repr(key).encode()).hexdigest()[:16]))
    with debian.locked("boot-" + kind):
        if not path.exists():
            part = path.with_name(path.name + ".part")
            part.write_bytes(make())
            os.replace(part, path)
    return path


def modules_tree():
    """A folder lib/modules/VERSION with those modules and depmod's indexes."""
    kernel = debian.kernel()
    order = guestkit.module_closure(kernel, MODULES)
    top = cache("boot", "modules-%s-%s" % (kernel.version, hashlib.sha256(repr(order).encode()).hexdigest()[:8]))
    tree = top / "lib" / "modules" / kernel.version
    with debian.locked("boot-modules"):
        if not (top / ".complete").exists():
            shutil.rmtree(top, ignore_errors=True)
            for path in order:
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(kernel.modules / path, tree / path)
            for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
                shutil.copyfile(kernel.modules / name, tree / name)
            subprocess.run([program("depmod"), "-b", str(top), kernel.version], check=True)
            (top / ".complete").touch()
    return tree


def modules_archive():
    """The archive that is put behind everybody's userland; it assumes their /lib/modules."""
    source, version = modules_tree(), debian.kernel().version

    def make():
        tree = cpio.Tree()
        base = "lib/modules/" + version
        for path in sorted(source.rglob("*")):
            name = "%s/%s" % (base, path.relative_to(source))
            if path.is_file():
                tree.data(name, path.read_bytes(), parents=False)
            else:
                tree.directory(name, parents=False)
        tree.directory(base, parents=False)
        return tree.pack()

    return _made("modules", (str(source), "1"), make)


def instrumentation(arrangement):
    """The observer and the hardware that it makes."""
    kernel, observer = debian.kernel(), compiled("observer")

    def make():
        tree = cpio.Tree()
        tree.directory("bench/dev")
        tree.file("bench/init", observer, 0o755)
        tree.node("bench/dev/ttyS2", "c", 4, 66, 0o600)
        lines = []
        for module, arguments in arrangement.hardware:
            closure = guestkit.module_closure(kernel, (module,))
            for path in closure:
                name = "bench/modules/" + os.path.basename(path)
                tree.file(name, kernel.modules / path, 0o644)
                lines.append("/%s%s\n" % (name, " " + arguments if path == closure[-1] else ""))
        if lines:
            tree.data("bench/modules/load", "".join(lines))
        return tree.pack()

    return _made("instrumentation", (str(observer), arrangement.hardware, kernel.version), make)


def joined(parts, into):
    with open(into, "wb") as out:
        for part in parts:
            content = part.read_bytes()
            out.write(content + b"\0" * (-len(content) % 512))
    return into


class Options:
    """What is the same for all runs."""

    def __init__(self, cpus=1, icount="shift=0,sleep=on", stretch=1.0, wall_limit=300, trace=False, trace_points="",
                 journal=False):
        self.cpus, self.icount, self.stretch, self.wall_limit = cpus, icount, stretch, wall_limit
        self.trace, self.trace_points, self.journal = trace, trace_points, journal


def boot(arrangement, contender, run, options):
    """Boot once; a dictionary of figures, with "bad" naming whatever makes it no result."""
    directory = BUILD_DIR / "boot" / ("%s-%s-%d" % (arrangement.key, contender.name, run))
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    made = images.make([arrangement.recipe])[arrangement.recipe.name]
    copies = made.copy(list(arrangement.recipe.disks), directory / "disks")
    hardware = hotplug.Hardware(arrangement.disks(), [], arrangement.media(), copies)
    initrd = joined([contender.userland(arrangement), modules_archive(), instrumentation(arrangement)], directory / "initrd")
    order = arrangement.order(run)
    words = ["console=ttyS0,115200", "quiet", "loglevel=3", "no_timer_check", "panic=-1", "rdinit=/bench/init",
             "bench.label=MONDO1", arrangement.words, *contender.words(arrangement)]
    if arrangement.volumes:
        words.append("bench.volumes=" + ",".join(arrangement.volumes))
    if arrangement.target:
        words.append("bench.wanted=sda")
    if order:
        words.append("bench.marks=" + ",".join(str(int(o * options.stretch)) for o in arrangement.offsets))
    if options.trace:
        words.append("bench.trace=1")
    if options.trace_points:
        words.append("bench.points=" + options.trace_points)
    if options.journal and contender.journal:
        words.append("bench.keep=" + contender.journal)
    arguments = list(hardware.arguments)
    if options.icount:
        arguments += ["-icount", options.icount]
    result = {"arrangement": arrangement.key, "contender": contender.name, "run": run, "bad": [], "directory": str(directory)}
    events, alive, arrays, lines, piece = [], [], [], [], ""
    began, taken = time.monotonic(), 0
    with Machine(debian.kernel().image, initrd, " ".join(words), arguments, directory, memory=1024,
                 cpus=options.cpus, wall_limit=options.wall_limit, agent=False) as machine:
        hardware.attach(machine)
        try:
            while "end" not in result and (machine.running or taken < len(machine.report)):
                if taken == len(machine.report):
                    machine.pump(0.5)
                    continue
                entry = machine.report[taken]
                taken += 1
                section, value = entry["section"], entry["value"]
                if section == "mark":
                    hardware.plug(order[value])
                elif section == "event":
                    events.append(value)
                elif section == "array":
                    arrays.append(value)
                elif section == "alive":
                    alive.append(value)
                elif section in ("launch", "end"):
                    result[section] = value
                elif section in ("bad", "error"):
                    result["bad"].append(value)
                elif section == "piece":
                    piece += value
                elif section == "line":
                    lines.append(bytes.fromhex(piece + value).decode("utf-8", "replace"))
                    piece = ""
        except GuestTimeout:
            result["bad"].append("not started within %d s of wall-clock" % options.wall_limit)
        except StageError as error:
            result["bad"].append(str(error))
    result["wall"] = round(time.monotonic() - began, 1)
    shutil.rmtree(directory / "disks", ignore_errors=True)
    (directory / "initrd").unlink()
    (directory / "events").write_text("".join(e + "\n" for e in events), encoding="utf-8")
    if lines:
        (directory / "journal.jsonl").write_text("".join(l + "\n" for l in lines), encoding="utf-8")
    if "launch" not in result and not result["bad"]:
        result["bad"].append("the machine ended before the launch")
    if "launch" in result:
        result.update(_figures(arrangement, contender, result["launch"], events, alive, arrays))
        result["bad"] += result.pop("early")
    result["bad"] = list(dict.fromkeys(result["bad"]))
    (directory / "result.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def _figures(arrangement, contender, launch, events, alive, arrays):
    first, bad = {}, []
    kernel_threads, observer = {2}, 0
    processes = upcalls = 0
    patterns = arrangement.patterns()
    for line in events:
        words = line.split()
        kind = words[0]
        if kind == "K":
            kernel_threads.add(int(words[2]))
        elif kind == "O":
            observer = int(words[2])
        elif kind == "F":
            parent, child, at = int(words[2]), int(words[3]), int(words[1])
            if parent == 2:
                kernel_threads.add(child)
            elif parent in kernel_threads:
                upcalls += at <= launch["ns"]
            elif child != observer:
                processes += at <= launch["ns"]
        elif kind == "U" and len(words) >= 5 and words[2].startswith("add@") and words[3:5] == ["block", "disk"]:
            for name, pattern in patterns.items():
                if fnmatch.fnmatchcase(words[2][4:], pattern):
                    first.setdefault(name, int(words[1]))
    missing = [n for n in patterns if n not in first or first[n] > launch["ns"]]
    if missing:
        bad.append("started before %s appeared" % ", ".join(missing))
    for array in arrays:
        if array["degraded"]:
            bad.append("%s is degraded" % array["name"])
    managers = [p for p in alive if p["name"] in contender.managers]
    peak = sum(p["peak_kb"] for p in managers[:1]) if managers else (launch["peak_kb"] if contender.execs_itself else None)
    last = max(first.values()) if first else None
    return {"early": bad, "last": max(first, key=first.get) if first else None, "arrays": arrays, "alive": alive,
            "reaction_ms": (launch["ns"] - last) / 1e6 if last and not missing else None,
            "boot_ms": (launch["ns"] - launch["init_ns"]) / 1e6,
            "processes": processes, "upcalls": upcalls, "cpu_ms": launch["ticks"] * 1000.0 / launch["hz"], "peak_kb": peak,
            "seen_ms": {n: round((t - launch["init_ns"]) / 1e6, 3) for n, t in sorted(first.items(), key=lambda p: p[1])}}
