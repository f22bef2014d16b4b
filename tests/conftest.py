"""What holds for all tests: where `shared` lies, one thread of arithmetic, and a line for each reason to skip some."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

# The models are so small that a second thread costs more than it saves, most of all where other programs are busy too;
# and sums come out the same whatever the number of cores. PyTorch reads it when it is imported, here and in what the
# tests start.
os.environ["OMP_NUM_THREADS"] = "1"
# A shell that starts the tests in the background, or nohup, has them ignore Ctrl-C or a closed terminal; and so would
# the programs that tests start and then ask to stop.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def pytest_terminal_summary(terminalreporter):
    """Say once why tests were skipped; pytest itself would say it for each of them."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")
