"""Virtual hardware of a case: what is there at boot, and what comes, goes and changes later over QMP."""
from dataclasses import dataclass

from .paths import StageError

# q35's own AHCI has six ports; discs use the last, disks the first ones.
CD_PORT = 5


@dataclass(frozen=True)
class Disk:
    """One disk. on: a virtio-scsi controller's name, or ahci, nvme, virtio, usb."""
    name: str
    recipe: str
    on: str = "scsi0"
    late: bool = False          # not there until a step plugs it (impossible on ahci)
    slow: bool = False          # reads go through a throttle that a step can close
    image: str = ""             # disk of the recipe, if it is not called as this one

    @property
    def source(self):
        return self.image or self.name


@dataclass(frozen=True)
class Controller:
    """A further virtio-scsi controller on a hot-plug port; its disks come and go with it."""
    name: str
    late: bool = False


@dataclass(frozen=True)
class Medium:
    """The restore medium. as_: cd (a drive on AHCI), scsi-cd (one on virtio-scsi), usb (the image written to a stick), or
    "" for no drive at all."""
    iso: object = None
    as_: str = "cd"
    late: bool = False          # cd: the drive is empty at first; usb: the stick is not plugged


class Hardware:
    """QEMU's arguments for the hardware of a case, and the levers to change it while the guest runs."""

    def __init__(self, disks, controllers, medium, images, extra_media=()):
        """images: disk name -> path of this run's private copy. extra_media: name -> path, discs to insert later."""
        self._disks = {d.name: d for d in disks}
        self._controllers = {c.name: c for c in controllers}
        self._medium = medium
        self._plugged = set()
        self._machine = None
        self._ports = {}
        args = []
        needing_port = [c.name for c in controllers] + [d.name for d in disks if d.on in ("nvme", "virtio")]
        for index, name in enumerate(needing_port, 1):
            args += ["-device", "pcie-root-port,id=port%d,chassis=%d,slot=%d" % (index, index, index)]
            self._ports[name] = "port%d" % index
        args += ["-device", "virtio-scsi-pci,id=scsi0", "-device", "qemu-xhci,id=xhci,p2=8,p3=8"]
        for disk in disks:
            args += self._backend(disk.name, images[disk.name], disk.slow)
        for name, path in dict(extra_media).items():
            args += self._backend(name, path, read_only=True)
        if medium.iso:
            args += self._backend("medium", medium.iso, read_only=True)
        for controller in controllers:
            if not controller.late:
                args += ["-device", _joined(self._controller(controller))]
                self._plugged.add(controller.name)
        for index, disk in enumerate(disks):
            if disk.late or (disk.on in self._controllers and self._controllers[disk.on].late):
                if disk.on == "ahci":
                    raise StageError("QEMU's AHCI ports take no disk while the machine runs")
                continue
            args += ["-device", _joined(self._device(disk))]
            self._plugged.add(disk.name)
        if medium.as_ in ("cd", "scsi-cd"):
            drive = ("ide-cd,bus=ide.%d,id=cd,serial=VMCD" % CD_PORT if medium.as_ == "cd" else
                     "scsi-cd,bus=scsi0.0,scsi-id=200,id=cd,serial=VMCD")
            args += ["-device", drive if medium.late or not medium.iso else drive + ",drive=medium"]
        elif medium.as_ == "usb" and medium.iso and not medium.late:
            args += ["-device", _joined(self._stick())]
            self._plugged.add("medium")
        self.arguments = args

    @staticmethod
    def _backend(name, path, slow=False, read_only=False):
        common = "discard=unmap," if not read_only else "read-only=on,"
        node = "file-" + name if slow else "disk-" + name
        args = ["-blockdev", "driver=raw,node-name=%s,%sfile.driver=file,file.filename=%s" % (node, common, path)]
        if slow:
            args += ["-object", "throttle-group,id=throttle-%s" % name,
                     "-blockdev", "driver=throttle,node-name=disk-%s,throttle-group=throttle-%s,file=%s"
                     % (name, name, node)]
        return args if name != "medium" and not name.startswith("disc") else [
            a.replace("node-name=disk-", "node-name=") for a in args]

    def _controller(self, controller):
        return {"driver": "virtio-scsi-pci", "id": controller.name, "bus": self._ports[controller.name]}

    def _device(self, disk):
        common = {"id": disk.name, "drive": "disk-" + disk.name, "serial": "VM" + disk.name}
        index = list(self._disks).index(disk.name)
        if disk.on == "nvme":
            return {"driver": "nvme", "bus": self._ports[disk.name], **common}
        if disk.on == "virtio":
            return {"driver": "virtio-blk-pci", "bus": self._ports[disk.name], **common}
        if disk.on == "usb":
            return {"driver": "usb-storage", "bus": "xhci.0", **common}
        if disk.on == "ahci":
            ahci = [d.name for d in self._disks.values() if d.on == "ahci"]
            return {"driver": "ide-hd", "bus": "ide.%d" % ahci.index(disk.name), **common}
        return {"driver": "scsi-hd", "bus": disk.on + ".0", "scsi-id": index, "product": "VM-" + disk.name, **common}

    @staticmethod
    def _stick():
        return {"driver": "usb-storage", "bus": "xhci.0", "id": "medium-stick", "drive": "medium", "serial": "VMSTICK"}

    # ------------------------------------------------------- while it runs

    def attach(self, machine):
        self._machine = machine

    def plug(self, name, elsewhere=False):
        """elsewhere: at another SCSI address, so under another path in sysfs."""
        if name == "medium":
            self.plug_medium()
            return
        if name in self._plugged:
            raise StageError("%s is plugged already" % name)
        if name in self._controllers:
            self._machine.qmp("device_add", **self._controller(self._controllers[name]))
            self._plugged.add(name)
            for disk in self._disks.values():
                if disk.on == name:
                    self.plug(disk.name)
            return
        device = self._device(self._disks[name])
        if elsewhere:
            device["scsi-id"] += 100
        self._machine.qmp("device_add", **device)
        self._plugged.add(name)

    def unplug(self, name):
        """Pull it out; returns when the guest has let go of it."""
        ident = "medium-stick" if name == "medium" else name
        before = len(self._machine.events)
        self._machine.qmp("device_del", id=ident)
        self._machine.wait(lambda: any(e["event"] == "DEVICE_DELETED" and e["data"].get("device") == ident
                                       for e in self._machine.events[before:]), 60, "the removal of " + name)
        self._plugged.discard(name)
        for disk in self._disks.values():
            if disk.on == name:
                self._plugged.discard(disk.name)

    def plug_medium(self):
        if self._medium.as_ == "usb":
            self._machine.qmp("device_add", **self._stick())
            self._plugged.add("medium")
        else:
            self.insert("medium")

    def insert(self, node):
        """Put a disc into the (empty) drive and close the tray."""
        qmp = self._machine.qmp
        qmp("blockdev-open-tray", id="cd", force=True)
        try:
            qmp("blockdev-remove-medium", id="cd")
        except StageError:
            pass  # it was empty
        qmp("blockdev-insert-medium", **{"id": "cd", "node-name": node})
        qmp("blockdev-close-tray", id="cd")

    def take_out(self):
        self._machine.qmp("blockdev-open-tray", id="cd", force=True)
        self._machine.qmp("blockdev-remove-medium", id="cd")
        self._machine.qmp("blockdev-close-tray", id="cd")

    def open_tray(self):
        self._machine.qmp("blockdev-open-tray", id="cd", force=True)

    def throttle(self, name, limits):
        """QEMU's ThrottleLimits; {} opens it. A read that already waits is not let go early (hence no "bps-read": 1 in
        cases that go on), and a disk on virtio-scsi would take its whole controller down with it: use virtio."""
        self._machine.qmp("qom-set", path="/objects/throttle-" + name, property="limits", value=limits)


def _joined(device):
    device = dict(device)
    return ",".join([device.pop("driver")] + ["%s=%s" % pair for pair in device.items()])
