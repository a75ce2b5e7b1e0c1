"""The parts of bench/boot/run. The machinery below (packages, disks, QEMU) is that of tests/vm."""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "vm"))
