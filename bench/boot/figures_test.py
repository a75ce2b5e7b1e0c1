#!/usr/bin/python3
"""bench/boot: what is read from a boot, what is a bad one, and what counts as worse."""
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bootlib  # noqa: E402,F401
from bootlib import arrangements, contenders, machine, table  # noqa: E402

DISK = "add@/devices/pci0000:00/0000:00:01.0/virtio0/host0/target0:0:%d/0:0:%d:0/block/sd%s block disk"
STICK = "add@/devices/pci0000:00/0000:00:02.0/usb2/2-1/2-1:1.0/host7/target7:0:0/7:0:0:0/block/sdd block disk"
LAUNCH = {"ns": 9050000000, "init_ns": 1000000000, "ticks": 150, "hz": 100, "pid": 1, "peak_kb": 900}
SEEN = ["U 2000000000 " + DISK % (0, 0, "a"), "U 2000000001 " + DISK % (1, 1, "b"), "U 8000000000 " + STICK,
        "U 9000000000 " + DISK % (2, 2, "c"), "U 9010000000 change" + (DISK % (2, 2, "c")).removeprefix("add")]


def figures(events, alive=(), arrays=(), contender="muster", launch=None):
    return machine._figures(arrangements.ARRANGEMENTS["b"], contenders.CONTENDERS[contender], launch or LAUNCH, events,
                            list(alive), list(arrays))


class Figures(unittest.TestCase):
    def test_last_needed_event(self):
        found = figures(SEEN)
        self.assertEqual((found["last"], found["reaction_ms"], found["boot_ms"], found["early"]), ("a2", 50.0, 8050.0, []))

    def test_disks_that_do_not_matter(self):
        more = SEEN + ["U 9040000000 add@/devices/pseudo_0/adapter0/host1/target1:0:2/1:0:2:0/block/sdz block disk",
                       "U 9041000000 add@/devices/virtual/block/dm-0 block disk"]
        self.assertEqual(figures(more)["reaction_ms"], 50.0)

    def test_too_early(self):
        self.assertEqual(figures(SEEN[:3])["early"], ["started before a2 appeared"])
        self.assertEqual(figures(SEEN, launch={**LAUNCH, "ns": 8999999999})["early"], ["started before a2 appeared"])

    def test_degraded(self):
        array = {"name": "md0", "state": "clean", "degraded": 1, "action": "idle"}
        self.assertEqual(figures(SEEN, arrays=[array])["early"], ["md0 is degraded"])

    def test_processes(self):
        events = ["K 0 8", "O 0 70", "F 1100000000 1 70", "F 1200000000 1 71", "F 1300000000 71 72", "F 1400000000 2 73",
                  "F 1500000000 73 74", "F 1600000000 8 75", "F 9900000000 1 76"]
        found = figures(SEEN + events)
        # of ours: 71 and 72. 73 is a kernel thread; 74 and 75 it started by itself; 76 came after the launch
        self.assertEqual((found["processes"], found["upcalls"]), (2, 2))

    def test_peak(self):
        alive = [{"pid": 1, "name": "muster-init", "peak_kb": 500}, {"pid": 80, "name": "musterd", "peak_kb": 12000}]
        self.assertEqual(figures(SEEN, alive)["peak_kb"], 12000)
        self.assertEqual(figures(SEEN, contender="floor")["peak_kb"], 900)
        self.assertIsNone(figures(SEEN, contender="udevd")["peak_kb"])


def result(contender, run, reaction, arrangement="b", bad=(), **more):
    return {"arrangement": arrangement, "contender": contender, "run": run, "bad": list(bad), "reaction_ms": reaction, "boot_ms": 9000.0,
            "processes": 4, "upcalls": 2, "cpu_ms": 1500.0, "peak_kb": 9000, "image_kb": 8000.0, **more}


def summary(results):
    return table.summarise(results, ["a", "d", "e"])


class Sizes(unittest.TestCase):
    def sizes(self, **more):
        with tempfile.TemporaryDirectory() as directory:
            small, large = Path(directory, "small"), Path(directory, "large")
            small.write_bytes(os.urandom(50 << 10))
            large.write_bytes(os.urandom(200 << 10))
            made = contenders.Contender("x", "", lambda a: large, **{k: lambda a: small for k in more}).sizes(None)
        return tuple(round(made[key] / 50) for key in ("image_kb", "bare_kb"))

    def test_with_and_without_what_the_others_lack(self):
        self.assertEqual(self.sizes(bare_userland=True), (4, 1))

    def test_nothing_that_the_others_lack(self):
        self.assertEqual(self.sizes(), (4, 4))

    def test_both_are_printed(self):
        text = table.printed(summary([result("muster", 0, 30.0, image_kb=8246.0, bare_kb=7039.0)]), {})
        self.assertIn("| 8246 (1.00 / –) | 7039 (1.00 / –) |", text)


class Compared(unittest.TestCase):
    before = [result("muster", 0, 30.0), result("floor", 0, 10.0), result("muster", 1, 36.0), result("floor", 1, 9.0)]

    def worse(self, after):
        return table.regressions(summary(after), summary(self.before), 0.10)

    def test_ratio_within_the_run(self):
        figure = summary(self.before)["b"]["muster"]["figures"]["reaction_ms"]
        self.assertEqual((figure["median"], figure["floor"], figure["muster"]), (33.0, 3.5, 1.0))

    def test_same(self):
        self.assertEqual(self.worse(self.before), [])

    def test_all_slower_alike_is_the_machine(self):
        self.assertEqual(self.worse([{**r, "reaction_ms": r["reaction_ms"] * 3} for r in self.before]), [])

    def test_worse(self):
        after = [{**r, "reaction_ms": r["reaction_ms"] * (1.2 if r["contender"] == "muster" else 1)} for r in self.before]
        self.assertEqual(self.worse(after), ["b: last event to launch, ms: 4.20 times that of floor, was 3.50 times"])

    def test_within_the_tolerance(self):
        after = [{**r, "reaction_ms": r["reaction_ms"] * (1.08 if r["contender"] == "muster" else 1)} for r in self.before]
        self.assertEqual(self.worse(after), [])

    def test_more_memory_is_worse(self):
        after = [{**r, "peak_kb": 12000 if r["contender"] == "muster" else 9000} for r in self.before]
        self.assertEqual(len(self.worse(after)), 1)

    def test_a_tick_is_no_news(self):
        small = [result(c, 0, 30.0, cpu_ms=100.0) for c in ("muster", "floor")]
        after = [result("muster", 0, 30.0, cpu_ms=115.0), result("floor", 0, 30.0, cpu_ms=100.0)]
        self.assertEqual(table.regressions(summary(after), summary(small), 0.10), [])

    def test_bad_runs(self):
        after = self.before[:3] + [result("muster", 2, None, bad=["md0 is degraded"])]
        self.assertEqual(self.worse(after), ["b: muster has bad runs, and had none"])

    def test_bad_runs_are_in_no_median(self):
        after = self.before + [result("muster", 2, 1.0, bad=["the medium is not mounted"])]
        self.assertEqual(summary(after)["b"]["muster"]["figures"]["reaction_ms"]["median"], 33.0)
        self.assertIn("**BAD** the medium is not mounted", table.printed(summary(after), {}))

    def test_cold_is_compared_from_init(self):
        cold = summary([result("muster", 0, 30.0, "a", boot_ms=2000.0), result("floor", 0, 3.0, "a", boot_ms=1000.0)])["a"]["muster"]
        self.assertEqual(cold["figures"]["boot_ms"]["floor"], 2.0)
        self.assertIsNone(cold["figures"]["reaction_ms"]["floor"])


if __name__ == "__main__":
    unittest.main()
