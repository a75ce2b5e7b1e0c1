"""A case: hardware, files and words as data; steps and expectations as small functions; and what runs it."""
import json
import os
import shutil
import time
from dataclasses import dataclass, field

from . import debian, hotplug, images, initrd, recipes
from .paths import BUILD_DIR, StageError
from .qemu import GuestTimeout, Machine
from .report import Report
from .witness import Failed, disk_hashes

# Where a case is expected to fail nobody needs to wait that long.
PATIENCE = int(os.environ.get("MUSTER_VM_PATIENCE", "1000"))
WORDS = ("console=ttyS0,115200 quiet loglevel=3 no_timer_check panic=-1 rdinit=/vmtest/agent")


@dataclass
class Case:
    name: str
    title: str
    disks: list = field(default_factory=list)           # hotplug.Disk
    controllers: list = field(default_factory=list)     # hotplug.Controller
    medium: hotplug.Medium = field(default_factory=hotplug.Medium)
    discs: dict = field(default_factory=dict)           # further discs: node name ("disc2") -> path
    files: dict = field(default_factory=dict)           # path in the image -> content
    words: str = "compare_mode"                         # the kernel command line's part of the case
    hashes: list = field(default_factory=list)          # contents that the stand-in hashes, as in the manifests
    steps: list = field(default_factory=list)           # callables taking the Stage, in order
    launches: bool = True                               # wait for the stand-in's whole report after the steps
    expect: list = field(default_factory=list)          # callables taking the Stage, raising Failed
    writes: tuple = ()                                  # disks that may change
    group: str = ""                                     # cases of a group end in the same state, by digest
    image: str = "muster"                               # or a function that makes an initrd of its own
    image_options: tuple = initrd.LEAN
    memory: int = 512
    launch_seconds: int = 300                           # wall-clock patience for the launch
    wall_limit: int = 600


class Stage:
    """A case while it runs: the machine, its hardware, and afterwards the report."""

    def __init__(self, case, machine, hardware, made, directory):
        self.case, self.vm, self.hardware, self.made, self.directory = case, machine, hardware, made, directory
        self.plug, self.unplug = hardware.plug, hardware.unplug
        self.notes = {}
        self.events = []       # (guest ns, what the harness did)
        self._report = None

    @property
    def report(self):
        if self._report is None or len(self.vm.report) != self._report_size:
            self._report, self._report_size = Report(self.vm.report), len(self.vm.report)
        return self._report

    def manifest(self, kind):
        """The manifests of all recipes of this case, merged."""
        merged = {}
        for images_of in self.made.values():
            merged.update(images_of.manifest.get(kind, {}))
        return merged

    def console(self):
        return self.vm.console.decode("utf-8", "replace")

    def status(self):
        """`muster status --json` of the running daemon."""
        text = self.vm.check("muster status --json")
        try:
            return json.loads(text)
        except ValueError as error:
            raise Failed("muster status --json is not JSON: %r" % text[:300]) from error

    def waited_for(self):
        """What the daemon says that it waits for, for a message."""
        try:
            things = json.loads(self.vm.run("muster status --json", 20)[1])["things"]
        except (ValueError, KeyError, TypeError, StageError) as error:
            return "the daemon does not say why: %s" % error
        return "not there: " + "; ".join("%s: %s (%s)" % (t["what"], t["state"], t["why"]) for t in things
                                         if t["state"] != "ready" and (t["requirement"] or t["id"] == "launch"))

    def wait_status(self, condition, guest_seconds, what):
        """Ask until condition(status) holds; the last status is in the message if it never does."""
        status = {}
        # Asked so often, however long that takes a busy host.
        for _ in range(int(guest_seconds * 5)):
            code, text = self.vm.run("muster status --json")
            if code == 0:
                try:
                    status = json.loads(text)
                except ValueError as error:
                    raise Failed("muster status --json is not JSON: %r" % text[:300]) from error
                if condition(status):
                    return status
            self.vm.after(200)
        # What is there, and the drivers that no image has, say little.
        open_things = ["%s: %s (%s)" % (t["what"], t["state"], t["why"]) for t in status.get("things", ())
                       if t["state"] != "ready" and t["owner"] != "driver"]
        raise Failed("%s: not within %d s of guest time; phase %s; %s"
                     % (what, guest_seconds, status.get("phase"), "; ".join(open_things)[:1500]))

    def wait_things(self, guest_seconds=60, **wanted):
        """Until the things named (by id, or by a part of what they are) have these states."""
        def holds(status):
            for part, state in wanted.items():
                found = [t for t in status["things"] if part == t["id"] or part in t["what"]]
                if not found or any(t["state"] not in state.split("|") for t in found):
                    return False
            return True
        return self.wait_status(holds, guest_seconds, "things %s" % wanted)

    def collect(self):
        """What helps to understand a case afterwards; the guest may be past answering."""
        if not self.vm.running or self.vm.hello_ns is None:
            return
        try:
            for path in ("/run/muster/journal.jsonl", "/vmtest/uevents"):
                self.vm.fetch(path)
            for name, command in (("status.json", "muster status --json"), ("explain.txt", "muster explain"),
                                  ("dmesg.txt", "dmesg"), ("ps.txt", "ps -o pid,ppid,stat,args"),
                                  ("run-muster.txt", "ls -lR /run/muster")):
                _, text = self.vm.run(command, 20)
                (self.directory / name).write_text(text, encoding="utf-8")
        except StageError as error:
            (self.directory / "collect-error.txt").write_text(str(error), encoding="utf-8")


def recipes_of(case):
    known = {r.name: r for r in recipes.everything()}
    return [known[n] for n in dict.fromkeys(d.recipe for d in case.disks)]


def run(case, keep=False, console_sink=None):
    """Run one case; returns {"name", "passed", "message", "seconds", "digest"}; artefacts lie in build/vm/<name>."""
    directory = BUILD_DIR / case.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    began = time.monotonic()
    outcome = {"name": case.name, "passed": False, "message": "", "digest": None}
    try:
        outcome["digest"] = _perform(case, directory, console_sink)
        outcome["passed"] = True
    except (Failed, GuestTimeout, StageError) as error:
        outcome["message"] = str(error)
    outcome["seconds"] = round(time.monotonic() - began, 1)
    (directory / "result.json").write_text(json.dumps(outcome, indent=1), encoding="utf-8")
    if not keep:
        shutil.rmtree(directory / "disks", ignore_errors=True)
        (directory / "initrd").unlink(missing_ok=True)
    return outcome


def _perform(case, directory, console_sink):
    made = images.make(recipes_of(case))
    copies = {}
    for disk in case.disks:
        copies.update({disk.name: made[disk.recipe].copy([disk.source], directory / "disks" / disk.name)[disk.source]})
    hardware = hotplug.Hardware(case.disks, case.controllers, case.medium, copies, case.discs)
    base = case.image() if callable(case.image) else initrd.built(case.image_options)
    whole = initrd.appended(base, directory / "initrd", case.files)
    words = "%s %s" % (WORDS, case.words)
    if case.hashes:
        words += " vmtest.hash=" + ",".join("/dev/" + h for h in case.hashes)
    before = disk_hashes(copies)
    kernel = debian.kernel()
    with Machine(kernel.image, whole, words, hardware.arguments, directory, memory=case.memory,
                 wall_limit=case.wall_limit, console_sink=console_sink) as machine:
        hardware.attach(machine)
        stage = Stage(case, machine, hardware, made, directory)
        try:
            for step in case.steps:
                step(stage)
            if case.launches:
                try:
                    machine.wait_section("start", min(case.launch_seconds, PATIENCE))
                    machine.wait_section("end", case.launch_seconds)
                except GuestTimeout as error:
                    if machine.launched:
                        raise Failed("mondorestore was started but did not end: %s" % error) from error
                    raise Failed("mondorestore was not started; %s" % stage.waited_for()) from error
            elif machine.launched:
                raise Failed("mondorestore was started, and must not have been")
            for expectation in case.expect:
                expectation(stage)
            died = [line for line in stage.console().splitlines() if "starting it again" in line]
            if died and "kills" not in stage.notes:
                raise Failed("the daemon died: %s" % died[0].strip())
        finally:
            (directory / "report.jsonl").write_text("".join(json.dumps(e) + "\n" for e in machine.report),
                                                    encoding="utf-8")
            stage.collect()
            machine.power_off()
        digest = stage.report.digest() if case.launches else None
        if digest is not None:
            (directory / "digest.json").write_text(json.dumps(digest, indent=1, sort_keys=True), encoding="utf-8")
    after = disk_hashes(copies)
    changed = [name for name in before if before[name] != after[name] and name not in case.writes]
    if changed:
        raise Failed("disks were written to: %s" % ", ".join(changed))
    return digest
