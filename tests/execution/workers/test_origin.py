"""Workers are copies of the process that runs a pipeline only where that has nothing under way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("tensorflow")

ASK = (
    "from penstock.execution.workers.origin import reason_for_new_process\n"
    "print('reason:', reason_for_new_process())\n"
)


def reason(code: str, folder: Path) -> str:
    """Return the reason of a process that has executed some code."""
    script = folder / "script.py"
    script.write_text(f"{code}\n{ASK}")
    os.utime(script, (0, 0))  # a process's beginning is known to the hundredth of a second
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        timeout=300,
    )
    return done.stdout.partition("reason:")[2].strip()


def test_an_import_of_tensorflow_leaves_nothing_under_way(tmp_path):
    assert reason("import tensorflow", tmp_path) == ""


def test_without_tensorflow_there_is_nothing_to_lend(tmp_path):
    assert reason("", tmp_path) == "TensorFlow is not imported in this one"


def test_tensorflow_that_has_started_has_threads(tmp_path):
    code = "import tensorflow\ntensorflow.constant(1)"
    assert reason(code, tmp_path) == "TensorFlow has started in this one"


def test_a_session_of_tensorflow_has_threads_of_its_own(tmp_path):
    code = (
        "import tensorflow\nwith tensorflow.Graph().as_default():\n"
        "    session = tensorflow.compat.v1.Session()\n"
        "    session.run(tensorflow.compat.v1.constant(1))"
    )
    assert "threads in this one that imports do not leave" in reason(code, tmp_path)


def test_a_thread_of_python_may_hold_a_lock(tmp_path):
    code = (
        "import tensorflow, threading\nend = threading.Event()\n"
        "threading.Thread(target=end.wait, daemon=True).start()"
    )
    assert reason(code, tmp_path) == "Python has 2 threads in this one"


def test_grpc_that_is_used_has_threads(tmp_path):
    code = (
        "import tensorflow, grpc\nchannel = grpc.insecure_channel('localhost:1')\n"
        "grpc.channel_ready_future(channel)"
    )
    assert "threads in this one" in reason(code, tmp_path)


def test_code_that_has_changed_since_is_imported_anew(tmp_path):
    code = (
        "import tensorflow, pathlib\npathlib.Path('mine.py').write_text('X = 1')\n"
        "import importlib\nimportlib.invalidate_caches()\nimport mine"
    )
    assert reason(code, tmp_path) == f"{tmp_path / 'mine.py'} has changed since this one began"


def test_tfx_that_is_there_in_part_is_imported_anew(tmp_path):
    code = (
        "from penstock._tfx import lazy\nlazy.open_door()\nfrom tfx import v1\n"
        "v1.components.Trainer\nimport tensorflow"
    )
    assert reason(code, tmp_path) == "TFX is imported in this one only in part"
