"""Data disks that bring another libc, another lvm and a broken module index: our programs go on."""
from lab import debian

from .common import Disk, Medium, medium, recipes, replace, stack_case, stack_disks, witness, STACK_VOLUMES

CASES = []
JUNK = b"\x7fELF\x02\x01\x01" + b"\0" * 57 + b"not a library of this machine\n"
PROGRAM = (b"#!/bin/sh\necho a program of the medium\nexit 5\n", 0o755)
KERNEL = "lib/modules/" + debian.kernel_version()
TOOLS = {
    # what is ours, and what would come before it
    "usr/lib/muster/bin/lvm": PROGRAM,
    "usr/lib/muster/sbin/lvm": PROGRAM,
    "usr/lib/muster/bin/muster-modprobe": PROGRAM,
    "usr/lib/muster/lib/libc.so.6": (JUNK, 0o755),
    "usr/lib/muster/lib/libdevmapper.so.1.02.1": (JUNK, 0o755),
    "usr/sbin/lvm": PROGRAM,
    "bin/lvm": PROGRAM,
    # the index of the very kernel that runs
    KERNEL + "/modules.dep": b"\xff\xfe broken\nkernel/drivers/md/dm-raid.ko: kernel/gone.ko\n" * 50,
    KERNEL + "/modules.dep.bin": b"\xb0\x07\xf4\x57\x00\x02\x00\x01\xef\xff\xff\xf0\x00\x00\x00\x00",
    KERNEL + "/modules.alias": b"alias * nothing\n",
    "lib/x86_64-linux-gnu/libc.so.6": (JUNK, 0o755),
    "lib/x86_64-linux-gnu/libdevmapper.so.1.02.1": (JUNK, 0o755),
    "lib64/ld-linux-x86-64.so.2": (JUNK, 0o755),
    "lib/libc.so.6": (JUNK, 0o755),
    "etc/ld.so.preload": b"/lib/x86_64-linux-gnu/libc.so.6\n",
    "sbin/lvm": (b"#!/bin/sh\necho the medium's lvm\nexit 5\n", 0o755),
    "sbin/mdadm": (b"#!/bin/sh\necho the medium's mdadm\nexit 5\n", 0o755),
    "sbin/modprobe": (b"#!/bin/sh\necho the medium's modprobe\nexit 5\n", 0o755),
    "lib/modules/2.4.9-old/modules.dep": b"\xff\xfe broken\n" * 50,
    "lib/modules/2.4.9-old/modules.alias": b"alias * nothing\n",
    "etc/lvm/lvm.conf": b"this is no lvm.conf {{{\n",
}
BACKUP = replace(recipes.STACK_BACKUP, tools=TOOLS,
                 mountlist=recipes.STACK_BACKUP.mountlist + recipes.LVM_TYPES_BACKUP.mountlist.replace(" / ", " /p "))
TYPES = ("vgt/plain", "vgt/mirrored", "vgt/thin")


def daemon_answers(stage):
    status = stage.status()
    if status["phase"] not in ("restoring", "done"):
        raise witness.Failed("the phase is %s" % status["phase"])


def ours(stage):
    """What a medium may not replace is as it was in the image."""
    for path in ("usr/lib/muster/bin/lvm", "usr/lib/muster/bin/muster-modprobe"):
        if "of the medium" in stage.vm.check("head -c 200 /%s" % path):
            raise witness.Failed("the medium replaced /" + path)


CASES.append(stack_case("foreign_tools", "the data disks bring another libc, lvm and a broken modules.dep",
                        medium=Medium(medium.disc(BACKUP), "usb"), files=BACKUP.boot_files(),
                        disks=[*stack_disks(late=("a2", "b1")), Disk("q0", "lvmtypes"), Disk("q1", "lvmtypes", late=True)],
                        # the arrays, and what needs lvm and drivers of its own, are complete after the tools came over /
                        steps=[lambda stage: stage.wait_things(medium="ready"), lambda stage: stage.plug("a2"),
                               lambda stage: stage.plug("b1"), lambda stage: stage.plug("q1")],
                        hashes=[*STACK_VOLUMES, *TYPES], writes=("q0", "q1"),
                        expect=[witness.started_once("--compare"), witness.arrays("md0", "md1"), witness.active(*TYPES),
                                witness.contents(), daemon_answers, lambda stage: stage.vm.check("muster status"), ours]))
