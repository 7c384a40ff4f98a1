"""What installed packages say while a pipeline is imported: a log's, and not the reader's."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import warnings

import pytest

from penstock.surfaces.cli import noise

pytestmark = pytest.mark.core

PACKAGES = sysconfig.get_path("purelib")
NOISE = [
    "2026-11-28 20:04:57.867671: I tensorflow/core/util/port.cc:113] oneDNN custom operations\n",
    "2026-11-28 20:04:57.936131: E external/local_xla/xla/stream_executor/cuda_dnn.cc:10575] No\n",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    "I0000 00:00:1764360297.867671    1234 port.cc:153] oneDNN custom operations are on.\n",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.\n",
    f"{PACKAGES}/google/api_core/_python_version_support.py:273: FutureWarning: You are using\n",
    "  warnings.warn(message, FutureWarning)\n",
]
MINE = [
    "reading 3 files\n",
    "/home/me/pipeline.py:3: DeprecationWarning: use the other\n",
    "  old()\n",
    "Traceback (most recent call last):\n",
]


def test_noise_is_parted_from_what_the_users_code_says():
    mixed = [line for pair in zip(NOISE, MINE, strict=False) for line in pair]
    together = [*NOISE[:5], *MINE, *NOISE[5:]]
    assert noise.parted(together) == (NOISE, MINE)
    assert [line for line in noise.parted(mixed)[1] if line in MINE] == MINE


def test_the_users_own_warnings_are_still_said(tmp_path, capfd):
    (tmp_path / ".penstock").mkdir()
    with noise.of_imports_logged(tmp_path):
        os.write(2, NOISE[0].encode())
        print("mine", file=sys.stderr)
        print(warnings.formatwarning("old", DeprecationWarning, "me.py", 3), file=sys.stderr)
    said = capfd.readouterr().err
    assert "mine\n" in said
    assert "DeprecationWarning: old" in said
    assert "oneDNN" not in said
    assert (tmp_path / noise.LOG).read_text() == NOISE[0]


def test_what_was_said_before_an_error_is_not_lost(tmp_path, capfd):
    with pytest.raises(ValueError, match="no"), noise.of_imports_logged(tmp_path):
        os.write(2, b"nearly\n")
        raise ValueError("no")
    assert capfd.readouterr().err == "nearly\n"
    assert not (tmp_path / ".penstock").exists()


def test_a_process_without_standard_error_goes_on(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from penstock.surfaces.cli import noise\n"
        "os.close(2)\n"
        "with noise.of_imports_logged(Path(sys.argv[1])): print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "done\n"
