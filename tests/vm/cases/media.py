"""Where the backup lies: discs in the wrong order, an empty drive, an open tray, ISO files on a stack of layers."""
from .common import Case, Disk, Medium, after, gathered, medium, quiet, recipes, replace, stack_case, witness

CASES = []
DISC2 = medium.disc(recipes.STACK_BACKUP, 2, False)
DISC1 = medium.disc(recipes.STACK_BACKUP, 1, False)
OTHER = medium.disc(replace(recipes.STACK_BACKUP, files_in_filelist=999, serial="another backup"))
FOREIGN = medium.iso({"README.TXT": b"not a backup\n"}, "OTHER")


def insert(node, milliseconds=0):
    def step(stage):
        stage.vm.after(milliseconds)
        stage.hardware.insert(node)
    return step


def said(*texts):
    """A step: the status says all of this about the medium (parts of words, case ignored)."""
    def step(stage):
        def holds(status):
            about = " ".join(t["what"] + " " + t["why"] for t in status["things"] if "medium" in t["id"]).lower()
            return all(t.lower() in about for t in texts)
        stage.wait_status(holds, 20, "the medium's line with %s" % (texts,))
    return step


def tray_opens(stage):
    """A step: QEMU opens the tray. Its drives tell the kernel of no tray that opens, real ones do."""
    stage.hardware.open_tray()
    stage.vm.check("echo change > /sys/block/sr0/uevent")


CASES.append(stack_case("disc_2_first", "disc 2 is in the drive, then disc 1 is put in; no key is pressed",
                        medium=Medium(DISC2, "cd"), discs={"disc1": DISC1},
                        steps=[gathered, said("2"), quiet(2000), insert("disc1")]))

CASES.append(stack_case("drive_states", "drive empty, a blank, tray open, no backup, another backup, the right disc",
                        medium=Medium(None, "scsi-cd"),
                        discs={"disc1": DISC1, "discother": OTHER, "discblank": medium.blank(),
                               "discforeign": FOREIGN},
                        steps=[gathered, said("sr0: no disc"), quiet(1000),
                               # what is in a blank of QEMU's is zeros, not nothing
                               insert("discblank"), said("no disc, stick or disk with the backup seen yet"), quiet(1000),
                               tray_opens, said("sr0: tray open"), quiet(1000),
                               insert("discforeign"), said("sr0: no archives directory"), quiet(1000),
                               insert("discother"), said("sr0: another backup", "muster use sr0"), quiet(2000),
                               insert("disc1")]))

ISO_VOLUMES = ("vgs/kept",)
ISO_DISKS = [Disk("u0", "isohome", on="usb", late=True), Disk("u1", "isohome", on="usb", late=True),
             Disk("s0", "stale"), Disk("s1", "stale")]
CASES.append(Case(
    "iso_on_lv_on_raid1_on_usb", "ISO files in a directory on ext4 on an LV on a RAID1 of hot-plugged USB disks",
    disks=ISO_DISKS, medium=Medium(None, ""), files=recipes.ISO_BACKUP.boot_files(),
    words="compare_mode vmtest.iso=backup/web7/web7-1.iso", hashes=list(ISO_VOLUMES) + ["vgiso/store"],
    steps=[after(1500, "plug", "u1"), after(1500, "plug", "u0")],
    expect=[witness.started_once("--compare"), witness.files(*witness.MONDO_FILES, cfg="iso-dev /dev/vgiso/store"),
            witness.iso_reachable(), witness.arrays("md7"), witness.volumes("vgiso/store", *ISO_VOLUMES),
            witness.contents()]))


def interactive_default(stage):
    witness.started_once("--interactive")(stage)


CASES.append(stack_case("interactive", "no mode word: interactive, with everything put together", words="",
                        expect=[interactive_default, witness.volumes("vg-main/root"), witness.contents()]))


def shell_is_there(stage):
    if stage.vm.launched:
        raise witness.Failed("mondorestore was started in expert mode")
    if not stage.vm.until("ps -o args | grep -q '[s]h'", 20):
        raise witness.Failed("no shell in expert mode")


CASES.append(stack_case("expert", "expert mode: a shell, no mondorestore", words="expert_mode", disks=[],
                        medium=Medium(None, "cd"), hashes=[], steps=[gathered, quiet(2000)], launches=False,
                        expect=[shell_is_there]))
