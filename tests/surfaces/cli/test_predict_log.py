"""`penstock predict --log` keeps what it predicted as a server does: all of a call, or nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from penstock.models import save_model
from penstock.serving.log.policy import span_at
from penstock.serving.log.reading import list_spans, read_rows
from penstock.surfaces.cli.main import penstock as group

pytestmark = pytest.mark.needs("sklearn", "skops", "orjson")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pushed versions of a classifier of an age."""
    from sklearn.linear_model import LogisticRegression

    rows = pa.table({"age": pa.array(np.arange(18, 90), pa.int64())})
    labels = np.where(np.asarray(rows["age"]) > 50, "stays", "leaves")
    fitted = LogisticRegression().fit(rows.to_pandas(), labels)
    folder = tmp_path_factory.mktemp("models") / "people"
    (folder / "3").mkdir(parents=True)
    save_model(fitted, str(folder / "3"), example=rows.slice(0, 5))
    return folder


def predict(model: Path, *arguments: str) -> Any:
    return CliRunner().invoke(group, ["predict", str(model), *arguments])


def logged(log: Path) -> pa.Table:
    [span] = list_spans(str(log), "people")
    return read_rows(str(log), "people", "day", span.number)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("age,note\n70,a\n20,b\n70,c\n")
    return path


def test_rows_and_predictions_are_kept_as_a_server_keeps_them(
    model: Path, tmp_path: Path, rows: Path
) -> None:
    for _ in range(2):
        done = predict(
            model, str(rows), "-o", str(tmp_path / "out.csv"), "--log", f"{tmp_path}/log"
        )
        assert done.exit_code == 0, done.output
    table = logged(tmp_path / "log")
    assert table["age"].to_pylist() == [70, 20, 70] * 2
    assert table["log/class"].to_pylist() == ["stays", "leaves", "stays"] * 2
    assert table["log/row"].to_pylist() == [0, 1, 2] * 2
    assert len(set(table["log/request_id"].to_pylist())) == 2
    assert set(table["log/role"].to_pylist()) == {"batch"}
    assert set(table["log/version"].to_pylist()) == {3}
    assert all(0 <= score <= 1 for score in table["log/score"].to_pylist())
    assert span_at(table["log/time"][0].as_py().timestamp(), "day") > 20000


def test_many_rows_are_numbered_through(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"age": list(range(25_000))}), path)
    done = predict(model, str(path), "-o", f"{tmp_path}/out.csv", "--log", f"{tmp_path}/log")
    assert done.exit_code == 0, done.output
    table = logged(tmp_path / "log")
    assert table["log/row"].to_pylist() == list(range(25_000))
    assert table["age"].to_pylist() == list(range(25_000))


def test_a_share_is_of_the_rows(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"age": list(range(1000))}), path)
    options = ("--log", f"{tmp_path}/log", "--log-percent", "20", "--log-hashed", "age")
    assert predict(model, str(path), "-o", str(tmp_path / "out.csv"), *options).exit_code == 0
    table = logged(tmp_path / "log")
    assert 120 < table.num_rows < 280
    assert table["age"].type == pa.string()


def test_a_wrong_row_leaves_no_part_of_a_call(model: Path, tmp_path: Path, rows: Path) -> None:
    rows.write_text("age\n" + "5\n" * 15_000 + "old\n")
    done = predict(model, str(rows), "-o", f"{tmp_path}/out.csv", "--log", f"{tmp_path}/log")
    assert done.exit_code != 0
    assert "rows.csv:15002" in str(done.exception)
    assert [path for path in (tmp_path / "log").rglob("*") if path.is_file()] == []


def test_a_killed_call_is_not_in_the_log(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    call = [sys.executable, "-m", "penstock", "predict", str(model), "-", "--log", str(log)]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"age\n" + b"70\n" * 400_000)
        process.stdin.close()
        process.stdout.readline()  # the first rows are predicted
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list_spans(str(log), "people") == []
    assert [path.name[:7] for path in (log / "people").iterdir() if path.is_file()] == [".begun-"]


def test_a_log_that_cannot_be_written_is_said(model: Path, tmp_path: Path, rows: Path) -> None:
    (tmp_path / "log").write_text("a file")
    done = predict(model, str(rows), "--log", str(tmp_path / "log" / "below"))
    assert done.exit_code != 0
    assert f"the log {tmp_path}/log/below cannot be written: Not a directory" in str(done.exception)


def test_a_deployment_says_where(
    model: Path, tmp_path: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "penstock.toml").write_text('[deployments.people.log]\nfolder = "kept"\n')
    monkeypatch.chdir(tmp_path)
    assert predict(model, str(rows)).exit_code == 0
    assert not (tmp_path / "kept").exists()
    assert predict(model, str(rows), "--deployment", "people").exit_code == 0
    assert logged(tmp_path / "kept").num_rows == 3
