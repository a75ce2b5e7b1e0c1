"""Where data dies: only bound drives, only when asked, and no bystander."""
import subprocess

from lab.case import Case
from lab.paths import program

from .common import Disk, Medium, gathered, medium, quiet, recipes, stack_case, witness

CASES = []
DISC = medium.disc(recipes.NUKE_BACKUP)
BOUND = "muster.target=sda:serial=VMt0 muster.target=sdb:serial=VMt1"
WORDS = "nuke_mode vmtest.do=destroy"


def nuke_disks(order=("t0", "t1", "y0")):
    return [Disk(n, "nuke") for n in order]


def nuke_case(name, title, **changes):
    fields = {"disks": nuke_disks(), "medium": Medium(DISC), "files": recipes.NUKE_BACKUP.boot_files(),
              "words": "%s %s" % (WORDS, BOUND), "writes": ("t0",),
              "expect": [witness.started_once("--nuke"), witness.files(*witness.MONDO_FILES, "/tmp/i-want-my-lvm"),
                         witness.medium("1"), witness.nothing_assembled("t0", "t1", "y0"), target_gone, bystander_hidden]}
    fields.update(changes)
    return Case(name, title, **fields)


def target_gone(stage):
    """The stand-in removed what it could see: the plan's own VG."""
    text = (stage.report["destroy"] or {}).get("output", "")
    if "remove vgold" not in text:
        raise witness.Failed("the stand-in did not see the plan's own volume group: %r" % text)


def bystander_hidden(stage):
    text = (stage.report["destroy"] or {}).get("output", "")
    if "vgby" in text:
        raise witness.Failed("the stand-in saw the bystander's volume group: %r" % text)


def names_lead_to(**wanted):
    """/dev/NAME is this disk today: mondorestore takes the names of the mountlist literally."""
    def check(stage):
        by_devno = {b["dev"]: stage.report.identity(b["dev"]) for b in (stage.report["block"] or {}).values()}
        links = stage.report["links"] or {}
        kernel = {"/dev/" + n: b["dev"] for n, b in (stage.report["block"] or {}).items()}
        for name, identity in wanted.items():
            devno = links.get("/dev/" + name, {}).get("dev") or kernel.get("/dev/" + name)
            if by_devno.get(devno) != identity:
                raise witness.Failed("/dev/%s is %s, not %s" % (name, by_devno.get(devno), identity))
    return check


CASES.append(nuke_case("nuke_bystander", "a nuke that removes every VG it sees: the bystander's survives",
                       expect=[witness.started_once("--nuke"), witness.files(*witness.MONDO_FILES, "/tmp/i-want-my-lvm"),
                               witness.medium("1"), witness.nothing_assembled("t0", "t1", "y0"), target_gone,
                               bystander_hidden, names_lead_to(sda="disk:t0", sdb="disk:t1")]))
CASES.append(nuke_case("nuke_swapped", "sda and sdb are swapped against the binding: the names lead to the right disks",
                       disks=nuke_disks(("t1", "t0", "y0")),
                       expect=[witness.started_once("--nuke"), witness.medium("1"), target_gone, bystander_hidden,
                               names_lead_to(sda="disk:t0", sdb="disk:t1")]))


def proposal(stage):
    """Unbound: the mapping is shown, nothing is started."""
    text = stage.vm.check("muster explain")
    for part in ("sda", "sdb", "VMt0", "VMt1"):
        if part not in text:
            raise witness.Failed("the proposed mapping does not name %s: %r" % (part, text))


def go(stage):
    stage.vm.check("muster go")


CASES.append(nuke_case("nuke_unbound", "without a binding nothing is started until `muster go`", words=WORDS,
                       steps=[gathered, quiet(4000), proposal, go]))
