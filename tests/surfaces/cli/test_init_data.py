"""Data as people have it: what `penstock init` understands of it, and what it says."""

from __future__ import annotations

import runpy
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock.errors import PenstockError
from penstock.surfaces.cli.cells import NumberForm, is_date
from penstock.surfaces.cli.columns import read_table
from penstock.surfaces.cli.init import init as init_command
from penstock_support.new_project import init
from penstock_support.newcomers_data import TWINS


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Return a project of one of the twins, made once: its folder, what was said, its features."""
    made: dict[str, SimpleNamespace] = {}

    def of(name: str) -> SimpleNamespace:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            make, label = TWINS[name]
            data = make(folder)
            project = folder / f"of_{name}"
            said = init(project, "--data", data, "--label", label)
            features = runpy.run_path(str(project / project.name / "features.py"))
            evaluation = (project / project.name / "evaluation.py").read_text()
            made[name] = SimpleNamespace(
                said=said, folder=project, features=features, evaluation=evaluation
            )
        return made[name]

    return of


def header(project: Path, name: str) -> str:
    return (project / "data" / name).read_text(encoding="utf-8").partition("\n")[0]


def error_of(*arguments: object) -> str:
    with pytest.raises(PenstockError) as caught:
        init_command.main([*map(str, arguments)], standalone_mode=False)
    return str(caught.value)


def test_a_column_that_numbers_the_rows_is_left_out_and_told(twin):
    told = "left out: 'rownames', it numbers the rows: consecutive integers, each once"
    assert told in twin("diamonds").said
    assert list(twin("diamonds").features["LEFT_OUT"]) == ["rownames"]


def test_pandas_index_is_not_in_the_copy(twin):
    assert "column 1, which has no name and numbers the rows" in twin("iris").said
    assert header(twin("iris").folder, "iris.csv").startswith("sepal_length,")


@pytest.mark.parametrize("cells", [["3", "1", "2"], ["-1", "0", "1"], range(5000, 3000, -1)])
def test_rows_may_be_numbered_in_any_order(cells, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("n,x\n" + "".join(f"{cell},{cell}.5\n" for cell in cells))
    assert read_table(path).column("n").numbers_rows


@pytest.mark.parametrize(
    "cells", [["1", "2", "2"], ["1", "2", "4"], ["1.0", "2", "3"], ["1", "", "3"], ["1", "2"]]
)
def test_other_integers_number_no_rows(cells, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("n,x\n" + "".join(f"{cell},a\n" for cell in cells))
    assert not read_table(path).column("n").numbers_rows


def test_a_column_of_names_without_a_name_gets_one(tmp_path):
    rows = "".join(f"{'ab'[n % 2]},{n}.5,{n % 2}\n" for n in range(20))
    (tmp_path / "data.csv").write_text(f'"",x,y\n{rows}')
    said = init(tmp_path / "mine", "--data", tmp_path / "data.csv", "--label", "y")
    assert "named: column 1 has no name; the copy in data/ calls it 'row_name'" in said
    assert header(tmp_path / "mine", "data.csv") == "row_name,x,y"


def test_decimal_commas_become_points_in_the_copy(twin):
    cars = twin("cars")
    assert "numbers: 'Verbrauch' has decimal commas" in cars.said
    assert set(cars.features["NUMBERS"]) == {"Hubraum", "Gewicht", "Zylinder"}
    line = (cars.folder / "data" / "autos.csv").read_text(encoding="cp1252").splitlines()[1]
    assert "," not in line


@pytest.mark.parametrize(
    ("form", "cell", "plain"),
    [
        (NumberForm.DECIMAL_COMMAS, "3,14", "3.14"),
        (NumberForm.DECIMAL_COMMAS, "-1.234,5", "-1234.5"),
        (NumberForm.DECIMAL_COMMAS, "1.234", "1234"),
        (NumberForm.DECIMAL_COMMAS, "NA", "NA"),
        (NumberForm.THOUSANDS, "1,234,567.8", "1234567.8"),
        (NumberForm.THOUSANDS, "12", "12"),
    ],
)
def test_numbers_are_written_as_python_does(form, cell, plain):
    assert form.plain(cell) == plain


def test_commas_between_thousands_are_taken_out(twin):
    assert "numbers: 'spent' has commas between thousands; " in twin("churn").said


def test_decimal_commas_and_points_in_one_column_stay_texts(tmp_path):
    (tmp_path / "data.csv").write_text("x;y\n1,5;1\n2.25;0\n")
    assert read_table(tmp_path / "data.csv").column("x").number_form is None


def test_numbers_with_signs_beside_them_are_left_out_with_a_word(tmp_path):
    rows = "".join(f"${n}.50,{n},{n % 2}\n" for n in range(1, 40, 3))
    (tmp_path / "data.csv").write_text(f"price,n,y\n{rows}")
    said = init(tmp_path / "mine", "--data", tmp_path / "data.csv", "--label", "y")
    assert "left out: 'price', numbers with signs beside them, as '$1.50'" in said


@pytest.mark.parametrize(
    "cell",
    ["2012/01/01", "2012-1-31 10:00", "31.01.2012", "1/31/12", "Jan 1 2000", "31-Jan-99"],
)
def test_dates_are_known_in_many_forms(cell):
    assert is_date(cell)


@pytest.mark.parametrize("cell", ["2012/01", "1/2", "3.14", "may be", "2012-01/02"])
def test_what_is_like_a_date_is_none(cell):
    assert not is_date(cell)


def test_dates_with_slashes_are_left_out_with_a_word(twin):
    assert "left out: 'date', dates; derive what matters" in twin("weather").said


def test_spellings_of_a_class_become_one(twin):
    churn = twin("churn")
    assert "is 'Yes' in the copy in data/; 'left', the label, has both" in churn.said
    assert churn.features["CLASSES"] == ("No", "Yes")
    assert ",yes" not in (churn.folder / "data" / "churn.csv").read_text()


def test_the_rows_of_each_class_are_counted(twin):
    said = twin("penguins").said
    assert "'species': 'Adelie' 152 (44.2 %), 'Gentoo' 124 (36.0 %), 'Chinstrap' 68" in said


def test_where_the_numbers_of_a_label_are_is_told(twin):
    assert "'price': from 125 to 75,768, mean 2,578, standard deviation" in twin("diamonds").said


def test_a_rare_class_is_told_with_what_a_model_without_knowledge_has(twin):
    assert "rare: 'Yes'; to say 'No' always is right for 96.3 % of the rows" in twin("churn").said
    pipeline = (twin("churn").folder / "of_churn" / "pipeline.py").read_text()
    assert "say `No` always is right for 0.963 of the rows" in pipeline


def test_several_classes_have_metrics_each(twin):
    assert '"binarize": {"class_ids": {"values": [number]}}' in twin("penguins").evaluation


def test_a_regression_is_told_by_its_errors_and_by_what_it_explains(twin):
    assert '"MeanAbsoluteError", "R2Score"' in twin("diamonds").evaluation


def test_columns_with_few_values_are_slices_texts_first(twin):
    assert "('sex', 'island', 'year')".replace("'", '"') in twin("penguins").evaluation
    assert 'SLICES: tuple[str, ...] = ("cut", "color")' in twin("diamonds").evaluation


def test_gzip_is_unpacked(twin):
    assert "unpacked: the copy in data/ is not compressed" in twin("titanic").said
    assert header(twin("titanic").folder, "titanic.csv").startswith("PassengerId,")


def test_parquet_is_written_as_csv_without_its_lists(twin):
    said = twin("sensors").said
    assert "written as CSV: it was Parquet" in said
    assert "left out: 'history', lists or structures" in said
    assert "left out: 'at', dates" in said
    assert len(twin("sensors").features["NUMBERS"]) == 60


def test_the_files_of_a_folder_are_joined(twin):
    reviews = twin("reviews")
    assert "joined: 3 files of " in reviews.said
    assert "900 rows" in reviews.said
    assert [path.name for path in (reviews.folder / "data").iterdir()] == ["reviews.csv"]
    assert "city" in reviews.features["CATEGORIES"]


def test_files_of_a_folder_with_other_columns_are_an_error(tmp_path):
    inside = tmp_path / "parts"
    inside.mkdir()
    (inside / "a.csv").write_text("x,y\n1,0\n")
    (inside / "b.csv").write_text("x,z\n1,0\n")
    text = error_of(tmp_path / "mine", "--data", inside, "--label", "y")
    assert "this one is without 'y' and with 'z', compared with a.csv" in text
    assert "b.csv" in text


def test_a_folder_without_data_is_an_error(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "notes.docx").touch()
    text = error_of(tmp_path / "mine", "--data", tmp_path / "parts", "--label", "y")
    assert (
        "expected files of CSV, JSON or Parquet in this folder, and there is 'notes.docx'" in text
    )


@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("https://example.org/data.csv", "curl -O https://example.org/data.csv"),
        ("s3://bucket/data.csv", "aws s3 cp s3://bucket/data.csv ."),
    ],
)
def test_an_address_is_answered_with_how_to_copy_it(address, command, tmp_path):
    text = error_of(tmp_path / "mine", "--data", address, "--label", "y")
    assert f"Copy it first: {command}." in text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"BZh91AY", "Unpack it: bunzip2 data.csv"),
        (b"\xd0\xcf\x11\xe0\xa1", "this is an Excel workbook"),
        (b"SQLite format 3\0", "this is a SQLite database"),
        (b"\x1f\x8bno", "the gzip file is broken"),
        (b'[{"a": 1}', "expected JSON objects, one a line or in a list"),
        (b'{"a": 1}\n{"a": \n', "expected JSON objects, one a line or in a list"),
        (b'[{"a": 1}, 2]', "expected JSON objects, one a line or in a list, and number 2 is 2"),
    ],
)
def test_what_is_no_table_is_answered_with_what_it_is(content, text, tmp_path):
    (tmp_path / "data.csv").write_bytes(content)
    said = error_of(tmp_path / "mine", "--data", tmp_path / "data.csv", "--label", "y")
    assert text in said


def test_an_archive_of_one_file_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr(
            "inside/table.csv", "x,y\n" + "".join(f"{n}.5,{n % 2}\n" for n in range(9))
        )
    init(tmp_path / "mine", "--data", tmp_path / "data.zip", "--label", "y")
    assert header(tmp_path / "mine", "table.csv") == "x,y"


def test_an_archive_of_several_files_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("a.csv", "x,y\n")
        archive.writestr("b.csv", "x,y\n")
    text = error_of(tmp_path / "mine", "--data", tmp_path / "data.zip", "--label", "y")
    assert "expected an archive of one file, and it has 2: 'a.csv', 'b.csv'" in text


def test_a_file_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    (tmp_path / "customers.csv").write_text("x,y\n")
    text = error_of(tmp_path / "mine", "--data", tmp_path / "customer.csv", "--label", "y")
    assert "customer.csv. Did you mean 'customers.csv'?" in text
