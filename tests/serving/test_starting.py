"""What a server needs and does not get is said when it starts."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.serving.server.state import write_json
from penstock_support.prediction_server import PredictionServer

pytestmark = pytest.mark.needs("sklearn", "uvloop")

Start = Callable[..., PredictionServer]


def refusal(server: PredictionServer) -> str:
    assert server.process.wait(timeout=60) == 2
    said = server.log.read_text()
    assert "Traceback" not in said
    return said


def test_files_that_are_no_certificates_are_named(start: Start, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    server = start("--tls-certificate", str(junk), "--tls-key", str(junk), ready=False)
    assert f"{junk}, {junk}: expected certificates and the key of the first" in refusal(server)


def test_a_host_that_nobody_knows_is_named(start: Start) -> None:
    server = start("--host", "999.1.1.1", "--token", "x", ready=False)
    assert "999.1.1.1:0 cannot be used: it is no address of this machine" in refusal(server)


def test_a_full_disk_is_named_and_filled_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", is_full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_json(tmp_path / "server.json", {})
    assert raised.value.filename == str(tmp_path / "server.json")
    assert not os.listdir(tmp_path)
