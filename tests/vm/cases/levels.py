"""Every level and metadata version, members on partitions of AHCI, NVMe, virtio and USB disks; content at both ends."""
from .common import Case, Disk, Medium, medium, recipes, after, witness

CASES = []
ARRAYS = tuple("md%d" % n for n in range(10, 19))


def level_disks(late=()):
    return [Disk(name, "levels", on=bus, late=name in late)
            for name, bus in (("a", "ahci"), ("b", "nvme"), ("c", "virtio"), ("d", "usb"))]


def levels_case(name, title, disks, steps):
    return Case(name, title, disks=disks, medium=Medium(medium.disc(recipes.LEVELS_BACKUP)),
                files=recipes.LEVELS_BACKUP.boot_files(), hashes=list(ARRAYS), steps=steps, group="levels",
                expect=[witness.started_once("--compare"), witness.arrays(*ARRAYS), witness.contents(),
                        witness.hands_off(), numbers,
                        witness.links(by_partuuid={"00000000-0000-4000-8000-000000000013": "disk:a:3"})])


def numbers(stage):
    """Every array has the number that the mountlist calls it by."""
    by_uuid = {entry["uuid"]: name for name, entry in stage.manifest("arrays").items()}
    for uuid, array in stage.report.arrays().items():
        if by_uuid.get(uuid) != array["name"]:
            raise witness.Failed("%s is %s, the mountlist calls it %s" % (uuid, array["name"], by_uuid.get(uuid)))


CASES.append(levels_case("levels", "RAID 0 1 4 5 6 10 linear on partitions of four buses, at boot", level_disks(), []))
CASES.append(levels_case("levels_hotplug", "the same, three of the four disks hot-plugged", level_disks(("b", "c", "d")),
                         [after(300, "plug", "d"), after(100, "plug", "b"), after(700, "plug", "c")]))


def members_show_no_content(stage):
    """The filesystem of a mirror with its metadata at the end belongs to the array, not to a member."""
    link = stage.report.links().get("/dev/disk/by-uuid/11111111-2222-4333-8444-555555555555")
    wanted = "md:" + stage.manifest("arrays")["md0"]["uuid"]
    if link != wanted:
        raise witness.Failed("by-uuid leads to %s, not to the array %s" % (link, wanted))
    for path, identity in stage.report.links().items():
        if path.startswith(("/dev/disk/by-uuid/", "/dev/disk/by-label/")) and identity.startswith("disk:") and \
                identity != "disk:CD":
            raise witness.Failed("%s leads to a member, %s" % (path, identity))


for case_name, late in (("mirrors", ()), ("mirrors_hotplug", ("m1", "n0"))):
    CASES.append(Case(
        case_name, "RAID1 0.90 and 1.0 whose content is visible on each member" + (", hot-plugged" if late else ""),
        disks=[Disk(n, "mirrors", late=n in late) for n in ("m0", "m1", "n0", "n1")],
        medium=Medium(medium.disc(recipes.MIRRORS_BACKUP)), files=recipes.MIRRORS_BACKUP.boot_files(),
        hashes=["md0", "vgm/data"], steps=[after(1500, "plug", n) for n in late], group="mirrors",
        expect=[witness.started_once("--compare"), witness.arrays("md0", "md1"), witness.volumes("vgm/data"),
                witness.contents(), witness.lvm_content(), members_show_no_content]))
