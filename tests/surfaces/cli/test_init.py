from __future__ import annotations

import json
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.data.csv import CsvOptions, infer_columns
from penstock.errors import PenstockError
from penstock.surfaces.cli.columns import Kind, Task, find_task, read_table
from penstock.surfaces.cli.init import TEMPLATES, pipeline_name
from penstock.surfaces.cli.main import penstock
from penstock.surfaces.cli.project import SAMPLE
from penstock_support.new_project import init, run_in

# Odd names, a delimiter inside quotes, a Windows encoding, and two ways to have no value.
HOUSES = (
    "House-No.;Size (m²);Where, exactly;Heating;Sold on;Price/€\r\n"
    + "".join(
        f'{n};{"NA" if n % 9 == 0 else 40 + n * 1.5};"{("City", "Land; far")[n % 2]}";'
        f"{('Gas', '', 'Oil')[n % 3]};2024-05-{n % 28 + 1:02d};"
        f"{'' if n == 7 else 900 * n + 20000}\r\n"
        for n in range(1, 61)
    )
).encode("cp1252")


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch):
    """A project's name must be no module's: forget those that other tests have loaded."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "pytest-of-" not in path])
    monkeypatch.delitem(sys.modules, "mine", raising=False)


@pytest.fixture
def houses(tmp_path):
    (tmp_path / "houses.csv").write_bytes(HOUSES)
    return tmp_path / "houses.csv"


def error_of(*arguments: object) -> str:
    with pytest.raises(PenstockError) as caught:
        CliRunner().invoke(penstock, ["init", *map(str, arguments)], catch_exceptions=False)
    return str(caught.value)


def made_features(folder: Path) -> dict[str, object]:
    return runpy.run_path(str(folder / folder.name / "features.py"))


def test_the_numbers_texts_and_what_is_left_out_of_a_file_are_written_as_code(houses, tmp_path):
    init(tmp_path / "prices", "--data", houses, "--label", "Price/€")
    made = made_features(tmp_path / "prices")
    assert made["LABEL"] == "Price/€"
    assert made["NUMBERS"] == {"Size (m²)": "size_m_xf"}
    assert made["CATEGORIES"] == {"Where, exactly": "where_exactly_xf", "Heating": "heating_xf"}
    assert list(made["LEFT_OUT"]) == ["House-No.", "Sold on"]


def test_rows_without_a_label_are_left_out_of_the_copy_and_counted(houses, tmp_path):
    said = init(tmp_path / "prices", "--data", houses, "--label", "Price/€")
    assert f"left out: 1 row without a label; {houses} itself is unchanged" in said
    copy = tmp_path / "prices" / "data" / "houses.csv"
    assert len(copy.read_bytes().splitlines()) == len(HOUSES.splitlines()) - 1
    assert houses.read_bytes() == HOUSES


def test_the_schema_is_one_that_the_file_conforms_to(houses, tmp_path):
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    init(tmp_path / "prices", "--data", houses, "--label", "Price/€")
    text = (tmp_path / "prices" / "schema.pbtxt").read_text()
    schema = text_format.Parse(text, schema_pb2.Schema())
    features = {feature.name: feature for feature in schema.feature}
    assert features["Size (m²)"].type == schema_pb2.FLOAT
    assert features["Size (m²)"].presence.min_fraction == pytest.approx(0.81)
    assert features["Price/€"].not_in_environment == ["SERVING"]
    assert list(schema.string_domain[0].value) == ["City", "Land; far"]


def test_how_a_file_is_written_is_found_out(houses):
    table = read_table(houses)
    assert (table.delimiter, table.encoding, table.null_values) == (";", "cp1252", ("NA",))
    assert table.column("Size (m²)").kind is Kind.FLOAT


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1_000", "2"], Kind.INT),
        (["1234567890123456789", "1"], Kind.INT),
        (["9223372036854775808", "1"], Kind.BYTES),
        (["inf", "1.5"], Kind.FLOAT),
        (["1e3", "2"], Kind.FLOAT),
        (["\u0661\u0662", "3"], Kind.BYTES),
        (["", ""], Kind.BYTES),
        (["-5", "NA"], Kind.INT),
    ],
)
def test_a_column_has_the_type_that_csv_example_gen_gives_it(cells, kind, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("value,other\n" + "".join(f"{cell},x\n" for cell in cells), encoding="utf-8")
    table = read_table(path)
    assert table.column("value").kind is kind
    options = CsvOptions(null_values=table.null_values)
    inferred = infer_columns([str(path)], options).types[0].name
    assert kind.name == inferred or (kind is Kind.BYTES and inferred == "EMPTY")


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_code_that_is_written_is_clean(template, tmp_path):
    init(tmp_path / "mine", "--template", template)
    ruff = [sys.executable, "-m", "ruff"]
    check = ["check", "--isolated", "--line-length=100", "--select=E,F,I,UP,B,RUF", "."]
    done = run_in(tmp_path / "mine", *ruff, *check)
    assert done.returncode == 0, done.stdout
    done = run_in(tmp_path / "mine", *ruff, "format", "--isolated", "--line-length=100", "--diff")
    assert done.returncode == 0, done.stdout


def test_nothing_is_written_where_a_file_is_there_already(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "Makefile").write_text("mine:\n")
    text = error_of(tmp_path / "mine")
    assert "has Makefile already, and nothing was written" in text
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["Makefile"]


def test_a_repository_s_own_readme_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("Mine.")
    init(tmp_path / "mine")
    assert (tmp_path / "mine" / "README.md").read_text() == "Mine."


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My churn!", "my_churn"), ("2024", "pipeline_2024"), ("json", "json_pipeline")],
)
def test_the_pipeline_is_named_after_the_folder(folder, name):
    assert pipeline_name(Path(folder), None) == name


def test_another_module_s_name_is_refused():
    with pytest.raises(PenstockError, match="'keras' is the name of a Python module already"):
        pipeline_name(Path("mine"), "keras")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "the file is empty"),
        ("a,b\n", "there is a header and no row"),
        ("a,b\n1,2\n1,2,3\n", "expected 2 cells, as in the header, and the row has 3"),
        ("a,a\n1,2\n", "'a' is there twice"),
        ("1,2\n3,4\n", "the first line should have the names of the columns"),
        ("a,b\n1,x\n2,x\n", "fewer than two different values"),
        ("a,b\n1,x\n1,y\n", "no column is left to learn 'b' from"),
    ],
)
def test_a_file_that_cannot_be_learned_from_is_an_error(content, text, tmp_path):
    (tmp_path / "mine.csv").write_text(content)
    said = error_of(tmp_path / "mine", "--data", tmp_path / "mine.csv", "--label", "b")
    assert text in said
    assert not (tmp_path / "mine").exists()


def test_without_a_label_the_columns_are_named(houses, tmp_path):
    text = error_of(tmp_path / "mine", "--data", houses)
    assert "which column is to be predicted? Name it: --label COLUMN, one of 'House-No.'" in text


def test_a_label_that_is_not_there_is_answered_with_the_nearest(houses, tmp_path):
    text = error_of(tmp_path / "mine", "--data", houses, "--label", "Price")
    assert "has no column 'Price'. Did you mean 'Price/€'?" in text


@pytest.mark.parametrize(
    ("values", "asked", "task"),
    [
        ("yes no yes no", None, Task.BINARY),
        ("0 1 0 1", None, Task.BINARY),
        ("red green blue red", None, Task.CLASSES),
        ("1 2 3 2", None, Task.CLASSES),
        ("1.5 2.5 3.5 2.5", None, Task.REGRESSION),
        ("1 2 3 2", "regression", Task.REGRESSION),
        ("1.5 2.5 3.5 2.5", "classification", Task.CLASSES),
    ],
)
def test_what_there_is_to_learn_is_seen_from_the_label(values, asked, task, tmp_path):
    rows = "".join(f"{n},{value}\n" for n, value in enumerate(values.split()))
    (tmp_path / "mine.csv").write_text(f"n,label\n{rows}")
    assert find_task(read_table(tmp_path / "mine.csv").column("label"), asked) is task


def test_texts_are_no_numbers_to_predict(houses):
    with pytest.raises(PenstockError, match="a regression needs numbers, and column 'Heating'"):
        find_task(read_table(houses).column("Heating"), "regression")


def test_every_file_of_the_templates_is_in_the_distribution():
    root = Path(__file__).parents[3]
    folder = root / "penstock" / "surfaces" / "cli"
    globs = runpy.run_path(str(root / "setup.py"))["PACKAGE_DATA"]["penstock.surfaces.cli"]
    packed = {path for glob in globs for path in folder.glob(glob)}
    there = {path for path in (folder / "templates").rglob("*") if path.is_file()}
    assert there <= packed
    assert SAMPLE in there


def test_a_project_names_its_pipeline(tmp_path):
    init(tmp_path / "mine")
    content = tomllib.loads((tmp_path / "mine" / "penstock.toml").read_text())
    assert content["pipelines"] == {"mine": "mine.pipeline:mine"}


def test_the_tests_of_a_project_of_functions_pass(tmp_path):
    init(tmp_path / "sums", "--template", "functions")
    done = run_in(tmp_path / "sums", "make", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("framework", ["keras", "sklearn"])
def test_the_tests_of_a_project_for_somebody_s_own_data_pass(houses, tmp_path, framework):
    given = ("--data", houses, "--label", "Price/€", "--framework", framework)
    init(tmp_path / "prices", *given)
    done = run_in(tmp_path / "prices", "make", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_a_project_that_monitors_rings_for_its_sample(tmp_path):
    init(tmp_path / "watch", "--template", "monitor", "--name", "people")
    folder = tmp_path / "watch"
    assert run_in(folder, "make", "sample").returncode == 0
    ended = run_in(folder, sys.executable, "-m", "penstock", "monitor", "run", "--json")
    assert ended.returncode == 3, ended.stdout + ended.stderr
    [looked] = json.loads(ended.stdout)
    assert [window["state"] for window in looked["windows"]] == ["fine", "fine", "alarms"]
    assert looked["windows"][-1]["alerts"] == ["people.drift"]
