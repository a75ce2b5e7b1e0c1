#!/usr/bin/python3
"""bench/compare: what it calls a regression, and what not."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

COMPARE = Path(__file__).resolve().parent / "compare"


def run(name, nanoseconds, unit="ns", **more):
    return {"name": name, "run_name": name, "run_type": "iteration", "cpu_time": nanoseconds, "real_time": nanoseconds * 3,
            "time_unit": unit, **more}


OLD = [run("calibration", 100), run("step", 400), run("parse", 2, "us"),
       run("arrival/manual_time", 5, bytes_per_device=4000, bytes_per_second=7)]


class Compare(unittest.TestCase):
    def compare(self, new, *options, old=None):
        with tempfile.TemporaryDirectory() as directory:
            paths = []
            for name, entries in (("old", OLD if old is None else old), ("new", new)):
                path = Path(directory, name + ".json")
                path.write_text(entries if isinstance(entries, str) else json.dumps({"context": {}, "benchmarks": entries}),
                                encoding="utf-8")
                paths.append(str(path))
            done = subprocess.run([sys.executable, str(COMPARE), *options, *paths], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    def changed(self, name, **changes):
        return [dict(entry, **changes) if entry["name"] == name else entry for entry in OLD]

    def test_the_same_is_no_regression(self):
        self.assertEqual(self.compare(OLD)[0], 0)

    def test_a_slower_machine_is_no_regression(self):
        slow = [dict(e, cpu_time=e["cpu_time"] * 7, real_time=e["real_time"] * 7) for e in OLD]
        self.assertEqual(self.compare(slow)[0], 0)

    def test_what_got_slower_is_one_and_is_named_in_red(self):
        code, text = self.compare(self.changed("step", cpu_time=600), "--colour", "always")
        self.assertEqual(code, 1)
        red = [line for line in text.splitlines() if line.startswith("\033[31m")]
        self.assertEqual(len(red), 1)
        self.assertRegex(red[0], r"step .*\+50 %  worse")

    def test_units_count(self):
        self.assertEqual(self.compare(self.changed("parse", cpu_time=2000, time_unit="ns"))[0], 0)
        self.assertEqual(self.compare(self.changed("parse", cpu_time=2, time_unit="ms"))[0], 1)

    def test_the_tolerance_decides(self):
        new = self.changed("step", cpu_time=600)
        self.assertEqual(self.compare(new, "--tolerance", "60")[0], 0)
        self.assertEqual(self.compare(new, "--tolerance", "40")[0], 1)

    def test_on_a_quicker_machine_the_same_time_is_a_regression(self):
        self.assertEqual(self.compare(self.changed("calibration", cpu_time=50))[0], 1)

    def test_of_repetitions_the_quickest_counts_and_aggregates_do_not(self):
        new = OLD + [run("step", 4000), run("step", 1, run_type="aggregate")]
        self.assertEqual(self.compare(new)[0], 0)
        slower = self.changed("step", cpu_time=900) + [run("step", 800), run("step", 1, run_type="aggregate")]
        self.assertRegex(self.compare(slower)[1], r"step .*\+100 %  worse")

    def test_a_clock_of_its_own_counts(self):
        self.assertEqual(self.compare(self.changed("arrival/manual_time", cpu_time=500))[0], 0)
        self.assertEqual(self.compare(self.changed("arrival/manual_time", real_time=500))[0], 1)

    def test_bytes_count_on_any_machine(self):
        new = [dict(e, cpu_time=e["cpu_time"] / 9, real_time=e["real_time"] / 9) for e in OLD]
        new[3]["bytes_per_device"] = 6000
        code, text = self.compare(new)
        self.assertEqual(code, 1)
        self.assertIn("arrival/manual_time bytes_per_device", text)
        self.assertNotIn("bytes_per_second", text)

    def test_what_failed_or_is_gone_is_a_regression_and_what_is_new_is_not(self):
        self.assertIn("gone", self.compare(OLD[:-1])[1])
        self.assertEqual(self.compare(OLD[:-1])[0], 1)
        failed = OLD[:1] + [run("step", 0, error_occurred=True, error_message="no")] + OLD[2:]
        self.assertRegex(self.compare(failed)[1], r"step .* failed")
        self.assertEqual(self.compare(failed)[0], 1)
        self.assertEqual(self.compare(OLD + [run("more", 1)])[0], 0)

    def test_what_cannot_be_compared_is_said(self):
        for new in (OLD[1:], "not JSON", "[]", '{"benchmarks": [{}]}', '{"benchmarks": 7}'):
            code, text = self.compare(new)
            self.assertEqual(code, 2, new)
            self.assertRegex(text, r"^compare: \S*new\.json: ")


if __name__ == "__main__":
    unittest.main()
