"""Volume groups that are not whole, not up to date, or not of the plain kinds."""
from .common import Case, Disk, Medium, after, gathered, medium, quiet, recipes, witness

CASES = []


def plain(name, title, recipe, backup, disks, volumes, **changes):
    fields = {"disks": disks, "medium": Medium(medium.disc(backup)), "files": backup.boot_files(),
              "hashes": list(volumes),
              "expect": [witness.started_once("--compare"), witness.volumes(*volumes), witness.contents()]}
    fields.update(changes)
    return Case(name, title, **fields)


CASES.append(plain("unused_pv_missing", "a PV that no wanted LV lies on never comes", recipes.UNUSED_PV,
                   recipes.UNUSED_PV_BACKUP, [Disk(n, "unused") for n in ("x0", "x1")], ("vgx/used", "vgx/wide")))

CASES.append(plain("unused_pv_later", "the unused PV comes while everything is put together", recipes.UNUSED_PV,
                   recipes.UNUSED_PV_BACKUP, [Disk(n, "unused", late=n != "x0") for n in ("x0", "x1", "x2")],
                   ("vgx/used", "vgx/wide"), steps=[after(1200, "plug", "x2"), after(600, "plug", "x1")]))



def stale_decides_nothing(stage):
    """What the newest metadata says holds; an LV on the PV that is behind is refused by name; what is no more is not made."""
    things = {t["id"]: t for t in stage.status()["things"]}
    if things.get("lv:vgs/kept", {}).get("state") != "ready":
        raise witness.Failed("vgs/kept is not up: %s" % things.get("lv:vgs/kept"))
    grown = things.get("lv:vgs/grown", {})
    if grown.get("state") != "impossible" or "stale" not in grown.get("why", ""):
        raise witness.Failed("vgs/grown is not refused for its stale PV: %s" % grown)
    if "lv:vgs/gone" in things:
        raise witness.Failed("vgs/gone is still spoken of: %s" % things["lv:vgs/gone"])
    nodes = stage.vm.check("ls /dev/mapper").split()
    if "vgs-kept" not in nodes or "vgs-gone" in nodes or "vgs-grown" in nodes:
        raise witness.Failed("device-mapper holds %s" % nodes)


# The order of arrival is also the order of the SCSI addresses, so that neither of the two orders prefers the newest.
for case_name, title, order in (("stale_pv_first", "the PV whose metadata is behind comes first", ("s1", "s0")),
                                ("stale_pv_last", "the PV whose metadata is behind comes last", ("s0", "s1"))):
    CASES.append(plain(case_name, title, recipes.STALE, recipes.STALE_BACKUP,
                       [Disk(n, "stale", late=True) for n in order], (), launches=False,
                       steps=[gathered, after(200, "plug", order[0]), after(3000, "plug", order[1]), quiet(5000)],
                       expect=[stale_decides_nothing]))

# raid1 and thin write their own metadata when they are activated: named exceptions of "nothing is written"
CASES.append(plain("lvm_types", "an LV of type raid1 and a thin one, which go to lvm, beside a linear one",
                   recipes.LVM_TYPES, recipes.LVM_TYPES_BACKUP, [Disk(n, "lvmtypes") for n in ("q0", "q1")],
                   ("vgt/plain", "vgt/mirrored", "vgt/thin"), writes=("q0", "q1"),
                   expect=[witness.started_once("--compare"), witness.volumes("vgt/plain"),
                           witness.active("vgt/plain", "vgt/mirrored", "vgt/thin"), witness.contents()]))
CASES.append(plain("lvm_types_hotplug", "the same, the second PV hot-plugged", recipes.LVM_TYPES,
                   recipes.LVM_TYPES_BACKUP, [Disk(n, "lvmtypes", late=n == "q1") for n in ("q0", "q1")],
                   ("vgt/plain", "vgt/mirrored", "vgt/thin"), writes=("q0", "q1"), steps=[after(2500, "plug", "q1")],
                   expect=[witness.started_once("--compare"), witness.volumes("vgt/plain"),
                           witness.active("vgt/plain", "vgt/mirrored", "vgt/thin"), witness.contents()]))
