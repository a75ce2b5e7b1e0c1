"""One bounded QEMU run.

Three serial lines: the console (what an operator sees), the agent's (guest/agent.c) and the stand-in's report
(guest/standin.c); and QMP. All four are sockets that the harness listens on, read by one pump, so nothing here needs
threads. The machine dies with the harness and at its wall-clock limit.

There is no usable KVM on most build machines: TCG is the rule. MUSTER_VM_ACCEL=kvm asks for the other.
"""
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .paths import StageError, program


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class GuestTimeout(StageError):
    pass


class Machine:
    """A running guest. Use it in a `with`; everything that waits takes wall-clock seconds."""

    def __init__(self, kernel, initrd, cmdline, arguments, artefacts, memory=512, cpus=1, wall_limit=240,
                 console_sink=None, agent=True):
        self.artefacts = Path(artefacts)
        self.artefacts.mkdir(parents=True, exist_ok=True)
        self._directory = tempfile.mkdtemp(prefix="muster-vm-")
        self._console_sink = console_sink
        self._wall_limit = wall_limit
        self._listeners = {}
        self._channels = {}
        self._buffers = {}
        self._replies = {}
        self._marks = {}
        self._next_id = 0
        self._jobs = []
        self.console = bytearray()
        self.report = []
        self.report_arrivals = []
        self.events = []
        self.hello_ns = None
        accel = os.environ.get("MUSTER_VM_ACCEL", "tcg")
        argv = [program("qemu-system-x86_64"), "-name", self.artefacts.name, "-M", "q35", "-accel", accel,
                "-cpu", "max", "-m", str(memory), "-smp", str(cpus), "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none"]
        for name in ("console", "agent", "report", "qmp"):
            path = os.path.join(self._directory, name)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(1)
            self._listeners[name] = listener
            argv += ["-chardev", "socket,id=%s,path=%s,server=off" % (name, path)]
        # an interrupt of its own for each line: the PC's COM1 and COM3 share one
        argv += ["-device", "isa-serial,chardev=console,index=0",
                 "-device", "isa-serial,chardev=agent,index=1",
                 "-device", "isa-serial,chardev=report,index=2,iobase=0x3e8,irq=5",
                 "-mon", "chardev=qmp,mode=control",
                 "-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline]
        self._argv = argv + list(arguments)
        self._has_agent = agent
        self._process = None

    # ------------------------------------------------------------ lifetime

    def __enter__(self):
        self._looked = time.monotonic()
        self._spent = 0.0
        self._log = open(self.artefacts / "console.log", "wb")
        self._errors = open(self.artefacts / "qemu.log", "wb")
        (self.artefacts / "qemu.argv").write_text("\n".join(self._argv) + "\n", encoding="utf-8")
        environment = dict(os.environ, TMPDIR=self._directory)
        self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=self._errors,
                                         stderr=self._errors, env=environment, start_new_session=True,
                                         preexec_fn=_die_with_parent)
        try:
            for name, listener in self._listeners.items():
                listener.settimeout(20)
                self._channels[name] = listener.accept()[0]
                self._channels[name].setblocking(False)
                self._buffers[name] = b""
                listener.close()
        except OSError as error:
            self._process.kill()
            self._process.wait()
            raise StageError("QEMU did not start: %s" % self._qemu_says()) from error
        self.qmp("qmp_capabilities")
        return self

    def __exit__(self, *unused):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._drain_rest()
        for channel in self._channels.values():
            channel.close()
        self._log.close()
        self._errors.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _qemu_says(self):
        return (self.artefacts / "qemu.log").read_text(encoding="utf-8", errors="replace").strip()

    def _drain_rest(self):
        for name in ("console", "report"):
            while True:
                try:
                    data = self._channels[name].recv(65536)
                except OSError:
                    break
                if not data:
                    break
                self._take(name, data)

    @property
    def running(self):
        return self._process.poll() is None

    def power_off(self):
        """Pull the plug; returns when QEMU has closed its images."""
        if self.running:
            try:
                self.qmp("quit")
            except StageError:
                pass
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # ---------------------------------------------------------------- pump

    def _since_last_look(self):
        """Seconds of the wall clock; a host that stood still meanwhile is not the guest's fault."""
        before, self._looked = self._looked, time.monotonic()
        return min(self._looked - before, 2.0)

    def pump(self, timeout=0.0):
        """Take what the guest has said; True if there was anything."""
        self._spent += self._since_last_look()
        if self._spent > self._wall_limit:
            raise GuestTimeout("the machine ran into its wall-clock limit of %d s" % self._wall_limit)
        channels = [c for c in self._channels.values() if c.fileno() >= 0]
        if not channels:
            return False
        readable, _, _ = select.select(channels, [], [], max(0.0, timeout))
        for name, channel in self._channels.items():
            if channel in readable:
                try:
                    data = channel.recv(65536)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    channel.close()
                    continue
                self._take(name, data)
        return bool(readable)

    def _take(self, name, data):
        if name == "console":
            self.console += data
            self._log.write(data)
            self._log.flush()
            if self._console_sink:
                self._console_sink(data)
            return
        self._buffers[name] += data
        if name == "agent":
            self._take_agent()
            return
        while b"\n" in self._buffers[name]:
            line, self._buffers[name] = self._buffers[name].split(b"\n", 1)
            line = line.strip()
            if not line:
                continue
            if name == "report":
                try:
                    self.report.append(json.loads(line))
                    self.report_arrivals.append(time.monotonic())
                except ValueError as error:
                    raise StageError("the stand-in's report is garbled: %r" % line[:200]) from error
            else:
                message = json.loads(line)
                if "event" in message:
                    self.events.append(message)
                elif "QMP" not in message:
                    self._replies["qmp"] = message

    def _take_agent(self):
        buffer = self._buffers["agent"]
        while b"\n" in buffer:
            line, rest = buffer.split(b"\n", 1)
            words = line.decode("ascii", "replace").split()
            if words[:1] == ["out"] and len(words) == 5:
                length = int(words[3])
                if len(rest) < length + 1:
                    break
                self._replies[words[1]] = (int(words[2]), rest[:length].decode("utf-8", "replace"), int(words[4]))
                rest = rest[length + 1:]
            elif words[:1] == ["mark"] and len(words) == 3:
                self._marks[words[1]] = int(words[2])
            elif words[:1] == ["hello"] and len(words) == 2:
                self.hello_ns = int(words[1])
            buffer = rest
        self._buffers["agent"] = buffer

    def wait(self, condition, timeout, what):
        """Until condition() is true; GuestTimeout names what was waited for."""
        left = float(timeout)
        while True:
            found = condition()
            if found:
                return found
            if not self.running:
                self._drain_rest()
                found = condition()
                if found:
                    return found
                raise StageError("QEMU ended while waiting for %s: %s" % (what, self._qemu_says()))
            if left <= 0:
                raise GuestTimeout("%s did not happen within %d s" % (what, timeout))
            before = self._spent
            self.pump(min(left, 0.5))
            left -= self._spent - before

    # ----------------------------------------------------------------- QMP

    def qmp(self, command, **arguments):
        self._replies.pop("qmp", None)
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        self._channels["qmp"].sendall(json.dumps(request).encode() + b"\n")
        reply = self.wait(lambda: self._replies.pop("qmp", None), 30, "QEMU's answer to %s" % command)
        if "error" in reply:
            raise StageError("QEMU refused %s %s: %s" % (command, arguments, reply["error"].get("desc")))
        return reply.get("return")

    def hmp(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    def wait_event(self, name, timeout=30, **data):
        def seen():
            for event in self.events:
                if event["event"] == name and all(event.get("data", {}).get(k) == v for k, v in data.items()):
                    return event
            return None
        return self.wait(seen, timeout, "QEMU's event %s %s" % (name, data))

    # --------------------------------------------------------------- agent

    def _tell(self, verb, rest):
        self.wait(lambda: self.hello_ns, 150, "the guest's agent")
        self._next_id += 1
        ident = str(self._next_id)
        self._channels["agent"].setblocking(True)
        self._channels["agent"].sendall(("%s %s %s\n" % (verb, ident, rest)).encode())
        self._channels["agent"].setblocking(False)
        return ident

    def start(self, command):
        """Start a shell command in the guest; result() takes its answer."""
        return self._tell("run", " ".join(command.split("\n")))

    def result(self, ident, timeout=60):
        status, output, _ = self.wait(lambda: self._replies.pop(ident, None), timeout, "command %s in the guest" % ident)
        return status, output

    def run(self, command, timeout=60):
        """(exit status, output) of a shell command in the guest."""
        ident = self.start(command)
        try:
            return self.result(ident, timeout)
        except GuestTimeout as error:
            raise GuestTimeout("in the guest: %s: %s" % (command, error)) from error

    def check(self, command, timeout=60):
        status, output = self.run(command, timeout)
        if status != 0:
            raise StageError("in the guest: %s: status %d: %s" % (command, status, output.strip()))
        return output

    def until(self, command, guest_seconds, timeout=None):
        """Repeat a command in the guest until it succeeds; True if it did within that much guest time."""
        tries = int(guest_seconds * 10)
        loop = "i=0; until { %s; } >/dev/null 2>&1; do i=$((i+1)); [ $i -lt %d ] || exit 1; sleep 0.1; done" % (
            command, tries)
        return self.run(loop, timeout or guest_seconds * 4 + 60)[0] == 0

    def at(self, milliseconds, timeout=120):
        """Wait until the guest's own clock shows this; returns the guest's nanoseconds."""
        ident = self._tell("at", str(int(milliseconds)))
        return self.wait(lambda: self._marks.pop(ident, None), timeout, "guest time %d ms" % milliseconds)

    def after(self, milliseconds, timeout=120):
        """Let this much guest time pass."""
        ident = self._tell("in", str(int(milliseconds)))
        return self.wait(lambda: self._marks.pop(ident, None), timeout, "%d ms of guest time" % milliseconds)

    def now_ns(self):
        return self.after(0)

    def wait_console(self, text, timeout):
        needle = text.encode()
        return self.wait(lambda: needle in self.console, timeout, "%r on the console" % text)

    # -------------------------------------------------------------- report

    def section(self, name):
        """The latest section of that name in the stand-in's report, or None."""
        for entry in reversed(self.report):
            if entry["section"] == name:
                return entry["value"]
        return None

    def wait_section(self, name, timeout):
        return self.wait(lambda: any(e["section"] == name for e in self.report) and (self.section(name) or True),
                         timeout, "%r in the stand-in's report" % name)

    @property
    def launched(self):
        return any(e["section"] == "start" for e in self.report)

    def fetch(self, path, name=None):
        """A file of the guest into the artefacts; None if it is not there."""
        status, output = self.run("[ -f %s ] && gzip -c %s | base64" % (path, path), 120)
        if status != 0 or not output:
            return None
        import base64
        import gzip
        target = self.artefacts / (name or os.path.basename(path))
        target.write_bytes(gzip.decompress(base64.b64decode(output)))
        return target
