"""`penstock predict`, as its users see it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from penstock.models import load_model, save_model
from penstock.surfaces.cli.main import penstock as group

pytestmark = pytest.mark.needs("sklearn", "skops")

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pushed versions of a classifier of an age, an income and a city."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(3)
    rows = pa.table(
        {
            "age": pa.array(random.integers(18, 90, 200), pa.int64()),
            "income": pa.array(random.normal(3, 1, 200), pa.float32()),
            "city": random.choice(["Oslo", "Rome"], 200).tolist(),
        }
    )
    labels = np.where(np.asarray(rows["age"]) > 50, "stays", "leaves")
    features = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    fitted = make_pipeline(features, LogisticRegression(max_iter=2000))
    fitted.fit(rows.to_pandas(), labels)
    folder = tmp_path_factory.mktemp("models") / "people"
    (folder / "1").mkdir(parents=True)
    save_model(fitted, str(folder / "1"), example=rows.slice(0, 5))
    return folder


@pytest.fixture
def call(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Predict in a folder of the test's own; files of texts are written there first."""
    monkeypatch.chdir(tmp_path)

    def predict(file: str, text: str | None = None, *options: str, **kept: Any) -> Any:
        if text is not None and file != "-":
            Path(file).write_text(text)
        return CliRunner().invoke(group, ["predict", str(model), file, *options], **kept)

    return predict


CSV = "id,age,income,city\na,70,2.5,Oslo\nb,20,1.5,Rome\n"


def rows_of(output: str) -> list[dict[str, Any]]:
    return pyarrow.csv.read_csv(pa.BufferReader(output.encode())).to_pylist()


def expected(model: Path, rows: Any) -> list[float]:
    return [
        row[1] for row in load_model(str(model / "1")).predict(rows)["probabilities"].to_pylist()
    ]


PEOPLE = [
    {"age": 70, "income": 2.5, "city": "Oslo"},
    {"age": 20, "income": 1.5, "city": "Rome"},
]


def test_rows_of_csv_get_classes_and_named_probabilities(call: Call, model: Path):
    rows = rows_of(call("rows.csv", CSV).stdout)
    assert list(rows[0]) == ["prediction", "probability_leaves", "probability_stays"]
    assert [row["prediction"] for row in rows] == ["stays", "leaves"]
    assert [row["probability_stays"] for row in rows] == pytest.approx(expected(model, PEOPLE))


def test_with_rows_their_own_columns_come_first(call: Call):
    [first, _] = rows_of(call("rows.csv", CSV, "--with-rows").stdout)
    assert list(first)[:5] == ["id", "age", "income", "city", "prediction"]
    assert first["id"] == "a"


def test_rows_of_json_are_answered_in_json(call: Call):
    text = "".join(json.dumps({**row, "more": [1]}) + "\n" for row in PEOPLE)
    answers = [json.loads(line) for line in call("rows.jsonl", text).stdout.splitlines()]
    assert [answer["prediction"] for answer in answers] == ["stays", "leaves"]
    assert list(answers[0]["probabilities"]) == ["leaves", "stays"]


def test_columns_of_json_that_the_model_does_not_know_may_have_anything(call: Call):
    text = "".join(
        json.dumps({**row, "more": {"a": place}, "id": [place, "x"][place], "big": 2**70}) + "\n"
        for place, row in enumerate(PEOPLE)
    )
    answers = [
        json.loads(line) for line in call("rows.jsonl", text, "--with-rows").stdout.splitlines()
    ]
    assert [answer["prediction"] for answer in answers] == ["stays", "leaves"]
    assert [answer["more"] for answer in answers] == ['{"a": 0}', '{"a": 1}']
    assert [answer["id"] for answer in answers] == ["0", '"x"']


def test_a_parquet_file_becomes_a_parquet_file(call: Call, model: Path):
    pyarrow.parquet.write_table(pa.Table.from_pylist(PEOPLE), "rows.parquet")
    result = call("rows.parquet", None, "-o", "out.parquet", "--with-rows")
    assert (result.exit_code, result.stdout) == (0, "")
    table = pyarrow.parquet.read_table("out.parquet")
    assert table.column_names[:4] == ["age", "income", "city", "prediction"]
    assert table["probability_stays"].to_pylist() == pytest.approx(expected(model, PEOPLE))
    assert os.listdir() == ["rows.parquet", "out.parquet"] or len(os.listdir()) == 2


@pytest.mark.parametrize(
    "text", [CSV, "".join(json.dumps(row) + "\n" for row in PEOPLE)], ids=["csv", "jsonl"]
)
def test_standard_input_is_read(call: Call, text: str):
    result = call("-", None, "-o", "out.csv", input=text)
    assert result.exit_code == 0
    assert [r["prediction"] for r in rows_of(Path("out.csv").read_text())] == ["stays", "leaves"]


def test_whole_numbers_may_be_written_with_a_point(call: Call):
    rows = rows_of(call("rows.csv", "age,income,city\n70.0,2,Oslo\n").stdout)
    assert rows[0]["prediction"] == "stays"


def test_other_delimiters(call: Call):
    for file, options in (("rows.tsv", ()), ("rows.csv", ("--delimiter", "\t"))):
        result = call(file, CSV.replace(",", "\t"), *options)
        assert [row["prediction"] for row in rows_of(result.stdout)] == ["stays", "leaves"]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "rows.csv",
            "age,income,city\n70,2,Oslo\nold,2,Rome\n",
            "expected a number, got 'old' (rows.csv:3, column age)",
        ),
        (
            "rows.csv",
            'age,income,city\n70,2,"Os\nlo"\n1.5,2,Rome\n',
            "expected a whole number, got 1.5 (float) (rows.csv:4, column age)",
        ),
        (
            "rows.csv",
            "age,income,city\n70,2,Oslo\n,2,Rome\n",
            "expected a whole number, got nothing (rows.csv:3, column age). The model was made",
        ),
        (
            "rows.csv",
            "agee,income,city\n70,2,Oslo\n",
            "the rows have none (rows.csv, column age). Did you mean 'agee'?",
        ),
        (
            "rows.jsonl",
            '{"age": 70, "income": 2, "city": "Oslo"}\n\n{"age": "old", "income": 2, "city": "R"}',
            "expected int as in the rows before, got 'old' (str) (rows.jsonl:3, column age)",
        ),
        (
            "rows.jsonl",
            '{"age": "old", "income": 2, "city": "Oslo"}\n',
            "expected a whole number, got 'old' (str) (rows.jsonl:1, column age)",
        ),
        ("rows.jsonl", "[1]\n", "expected an object with columns, got list (rows.jsonl:1)"),
    ],
)
def test_an_error_names_the_row_and_the_column(call: Call, file: str, text: str, message: str):
    result = call(file, text, "-o", "out.csv")
    assert message in str(result.exception)
    assert os.listdir() == [file]


def test_a_row_of_parquet_is_named_by_its_number_in_the_file(call: Call, monkeypatch: Any):
    from penstock.models import row_files

    monkeypatch.setattr(row_files, "_BATCH_ROWS", 2)
    rows = [*PEOPLE, *PEOPLE, {"age": None, "income": 1.0, "city": "Rome"}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), "rows.parquet")
    result = call("rows.parquet")
    assert "row 4: expected a whole number, got nothing (rows.parquet, column age)" in str(
        result.exception
    )


def test_a_large_file_is_read_in_parts(model: Path, tmp_path: Path):
    from penstock.models.row_files import predictions_of_file

    path = tmp_path / "rows.csv"
    path.write_text("age,income,city\n" + "70,2.5,Oslo\n" * 200_000)
    parts = [
        rows.num_rows for rows, _ in predictions_of_file(load_model(str(model / "1")), str(path))
    ]
    assert sum(parts) == 200_000
    assert len(parts) > 2


def test_a_file_without_rows_becomes_one_without_predictions(call: Call):
    assert call("rows.csv", "age,income,city\n").stdout.replace('"', "") == (
        "prediction,probability_leaves,probability_stays\n"
    )


@pytest.mark.parametrize("output", ["out.jsonl", "out.parquet"])
def test_no_rows_become_no_predictions_of_any_kind(call: Call, output: str):
    result = call("rows.jsonl", "", "-o", output)
    assert (result.exit_code, result.stderr) == (0, f"0 predictions: {output}\n")
    assert Path(output).exists()


def test_rows_that_have_a_prediction_are_not_mixed_up_with_the_models(call: Call):
    result = call("rows.csv", "age,income,city,prediction\n70,2,Oslo,1\n", "--with-rows")
    assert "the rows have a column 'prediction', as the predictions have" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rows.csv", None), "there is no such file (rows.csv)"),
        (("rows.csv", CSV, "-o", "out.xlsx"), "expected a file .csv, .parquet or .jsonl, got 'out"),
    ],
)
def test_what_is_not_understood_is_said(call: Call, arguments: Any, message: str):
    assert message in str(call(*arguments).exception)


def test_an_error_names_standard_input(call: Call):
    result = call("-", None, "-o", "out.csv", "--format", "csv", input="")
    assert result.exit_code != 0
    assert "the CSV file is empty (standard input)" in result.output + str(result.exception)
