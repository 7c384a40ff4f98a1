"""What a run does while its nodes work."""

from __future__ import annotations

import subprocess
import sys

from penstock_support import PROGRAMS

RUN = """
import sys
sys.path.insert(0, {support!r})
from penstock import LocalRunner
from penstock.runners.local import concluding
from penstock.testing import Silent
from penstock_support.busy_components import busy

def write_report(_):
    print("penstock.report.page" in sys.modules, "penstock.data.records" in sys.modules)
    return "", ""

concluding._write_report = write_report
LocalRunner(pipeline_root="root", metadata="store", display=Silent()).run(busy)
"""


def test_what_the_report_takes_is_imported_meanwhile(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN.format(support=str(PROGRAMS.parent))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout == "True True\n", done.stderr
