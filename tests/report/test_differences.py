"""How two data sets differ, in the report of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import LocalRunner, pipeline
from penstock.components import CsvExampleGen, ExampleDiff
from penstock.metadata.store import connect, connection_config
from penstock.report import write_report as write_page
from penstock.testing import Silent

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Compare two folders of rows, of which every tenth has another fare."""
    folder = tmp_path_factory.mktemp("compared")
    for name, other in (("before", 0), ("after", 1)):
        (folder / name).mkdir()
        rows = [f"{row},{row + other * (row % 10 == 0)},same" for row in range(300)]
        lines = [f"id,fare {HOSTILE},town", *rows]
        (folder / name / "data.csv").write_text("\n".join(lines) + "\n")

    @pipeline
    def compared():
        before, after = (
            CsvExampleGen(input_base=str(folder / name)).with_id(name)
            for name in ("before", "after")
        )
        return ExampleDiff(
            examples=after.outputs["examples"],
            baseline_examples=before.outputs["examples"],
            identifier_features=["id"],
            include_split_pairs=[["train", "train"]],
        )

    address = str(folder / "metadata.sqlite")
    runner = LocalRunner(pipeline_root=str(folder), metadata=address, display=Silent())
    return folder, address, runner.run(compared)


def section(done):
    folder, address, result = done
    with connect(connection_config(address), create=False) as metadata:
        write_page(metadata.store, result.run_id, str(folder / "report.html"))
    text = " ".join((folder / "report.html").read_text().split())
    assert HOSTILE not in text
    assert '<a href="#differences">Differences</a>' in text
    return text.partition('<h2 id="differences">')[2].partition("</section>")[0]


def test_features_that_differ_are_in_a_table(done):
    text = section(done)
    assert "<strong>train_train</strong>: " in text
    assert "pairs." in text
    assert "alert(1)" in text
    assert "town" not in text


def test_what_is_damaged_is_told(done):
    _, _, result = done
    [file] = Path(result.output("ExampleDiff", "example_diff").uri).rglob("match_stats*")
    content = file.read_bytes()
    file.write_bytes(content[:5])
    try:
        assert "<strong>Could not be read:</strong> train_train: " in section(done)
    finally:
        file.write_bytes(content)
