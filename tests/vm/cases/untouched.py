"""Gathering changes no byte of any disk. Every case checks that; here are the disks that a careless search would change."""
from .common import Case, Disk, Medium, after, gathered, medium, quiet, recipes, witness
from .media import said

CASES = []
NAMES = ("j0", "j1", "k0", "k1", "l0", "l1", "l2")


def dirty_is_pending(stage):
    """The dirty arrays run, and nothing is being repaired before somebody writes."""
    found = stage.report.arrays()
    for name in ("md1", "md2"):
        array = found.get(stage.manifest("arrays")[name]["uuid"])
        if not array or array["state"] != "read-auto":
            raise witness.Failed("%s is not read-auto: %s" % (name, array))
    if (stage.report["mdstat"] or "").count("PENDING") != 2:
        raise witness.Failed("the two dirty arrays do not wait with their resync: %r" % stage.report["mdstat"])


for case_name, late in (("untouched", ()), ("untouched_hotplug", ("j1", "k0", "l2"))):
    CASES.append(Case(
        case_name, "a dirty ext4 journal, an array with a bitmap, dirty arrays: every disk is the same bit for bit"
        + (", hot-plugged" if late else ""),
        disks=[Disk(n, "dirty", late=n in late) for n in NAMES], medium=Medium(medium.disc(recipes.DIRTY_BACKUP), "usb"),
        files=recipes.DIRTY_BACKUP.boot_files(), hashes=["vgj/fs", "md1", "md2"],
        steps=[after(400, "plug", n) for n in late],
        expect=[witness.started_once("--compare"), witness.volumes("vgj/fs"), witness.contents(), dirty_is_pending]))

# The search for ISO files mounts every filesystem that it finds, those with a dirty journal too. Both were looked at
# before the one with the ISO files comes.
CASES.append(Case(
    "untouched_search", "the search for ISO files looks into two dirty ext4 and leaves every disk the same bit for bit",
    disks=[*(Disk(n, "dirty") for n in NAMES), Disk("s0", "stale"), Disk("s1", "stale"),
           Disk("u0", "isohome", on="usb"), Disk("u1", "isohome", on="usb", late=True)],
    medium=Medium(None, ""), files=recipes.ISO_BACKUP.boot_files(),
    words="compare_mode vmtest.iso=backup/web7/web7-1.iso", hashes=["vgj/fs", "md1", "md2", "vgs/kept"],
    steps=[gathered, said("no backup on dm-", ", md1"), quiet(500), lambda stage: stage.plug("u1")],
    expect=[witness.started_once("--compare"), witness.volumes("vgj/fs", "vgs/kept", "vgiso/store"), witness.contents(),
            witness.iso_reachable(), dirty_is_pending]))
