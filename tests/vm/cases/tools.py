"""Data disks that bring another libc, another lvm and a broken module index: our programs go on."""
from .common import Disk, Medium, medium, recipes, replace, stack_case, stack_disks, stack_expectations, witness

CASES = []
JUNK = b"\x7fELF\x02\x01\x01" + b"\0" * 57 + b"not a library of this machine\n"
TOOLS = {
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
BACKUP = replace(recipes.STACK_BACKUP, tools=TOOLS)


def daemon_answers(stage):
    status = stage.status()
    if status["phase"] not in ("restoring", "done"):
        raise witness.Failed("the phase is %s" % status["phase"])


CASES.append(stack_case("foreign_tools", "the data disks bring another libc, lvm and a broken modules.dep",
                        medium=Medium(medium.disc(BACKUP), "usb"), disks=stack_disks(late=("a2", "b1")),
                        # the arrays are completed after the tools were unpacked over /
                        steps=[lambda stage: stage.wait_things(medium="ready"), lambda stage: stage.plug("a2"),
                               lambda stage: stage.plug("b1")],
                        expect=[witness.started_once("--compare"), witness.arrays("md0", "md1"), witness.contents(),
                                daemon_answers, lambda stage: stage.vm.check("muster status")]))
