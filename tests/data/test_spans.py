import pytest

from penstock.authoring.values import convert
from penstock.data import spans
from penstock.data.spans import (
    RangeConfig,
    RollingRange,
    StaticRange,
    find_spans,
    resolve_input,
)
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import DataError, ParameterError

pytestmark = pytest.mark.core


@pytest.fixture
def folder(tmp_path):
    """Make files, and return a function that resolves a pattern to span, version and files."""

    def make(*names):
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

        def resolve(*patterns, **options):
            split = tuple(InputSplit(f"s{i}", pattern) for i, pattern in enumerate(patterns))
            base = str(tmp_path / "data")
            found = resolve_input(base, InputConfig(split), **options)
            names = [file.removeprefix(f"{base}/") for file in found.files]
            return found.span, found.version, names

        return resolve

    return make


def static(start, end):
    return RangeConfig(static_range=StaticRange(start, end))


def rolling(count, start=0):
    return RangeConfig(rolling_range=RollingRange(start, count))


def test_a_pattern_without_specs_is_span_0(folder):
    assert folder("b.csv", "a.csv", ".hidden")("*") == (0, None, ["a.csv", "b.csv"])


def test_the_latest_span_is_read(folder):
    resolve = folder("span-2/a", "span-10/a", "span-10/b", "span-9/a")
    assert resolve("span-{SPAN}/*") == (10, None, ["span-10/a", "span-10/b"])


def test_the_latest_version_of_the_latest_span_is_read(folder):
    resolve = folder("1/v9/a", "2/v3/a", "2/v11/a")
    assert resolve("{SPAN}/v{VERSION}/*") == (2, 11, ["2/v11/a"])


def test_a_width_limits_the_digits(folder):
    resolve = folder("span01.csv", "span02.csv", "span113.csv")
    assert resolve("span{SPAN:2}.csv") == (2, None, ["span02.csv"])


def test_widths_take_apart_what_stands_together(folder):
    assert folder("0103.csv")("{SPAN:2}{VERSION:2}.csv") == (1, 3, ["0103.csv"])


def test_a_date_is_days_since_1970(folder):
    resolve = folder("1970-01-02.csv", "1970-01-03.csv")
    assert resolve("{YYYY}-{MM}-{DD}.csv") == (2, None, ["1970-01-03.csv"])
    assert spans.date_to_span(2017, 1, 1) == 17167
    assert spans.span_to_date(17167).isoformat() == "2017-01-01"


def test_a_static_range_names_a_span(folder):
    resolve = folder("1/a", "2/a", "3/a")
    assert resolve("{SPAN}/*", range_config=static(2, 2)) == (2, None, ["2/a"])


def test_a_static_range_of_several_spans_reads_all_in_order(folder):
    resolve = folder("9/a", "10/a", "11/a", "12/a")
    assert resolve("{SPAN}/*", range_config=static(9, 11)) == (11, None, ["9/a", "10/a", "11/a"])


def test_a_rolling_range_reads_the_last_spans_each_in_its_latest_version(folder):
    resolve = folder("1/v1/a", "2/v1/a", "2/v2/a", "3/v1/a")
    found = resolve("{SPAN}/v{VERSION}/*", range_config=rolling(2))
    assert found == (3, 1, ["2/v2/a", "3/v1/a"])


def test_a_rolling_range_does_not_go_before_its_start(folder):
    resolve = folder("1/a", "2/a", "3/a")
    assert resolve("{SPAN}/*", range_config=rolling(3, start=3)) == (3, None, ["3/a"])


def test_a_resolved_span_and_version_are_held_on_to(folder):
    resolve = folder("1/v1/a", "2/v1/a", "2/v2/a", "3/v1/a")
    found = resolve("{SPAN}/v{VERSION}/*", last_span=2, last_version=1)
    assert found == (2, 1, ["2/v1/a"])


def test_glob_characters_mean_what_they_mean_to_glob(folder):
    resolve = folder("x+1/part-a.csv", "x+1/part-b.csv", "x+1/part-c.csv", "x+1/sub/part-a.csv")
    names = ["x+1/part-a.csv", "x+1/part-b.csv"]
    assert resolve("x+{SPAN}/part-[ab].csv") == (1, None, names)
    assert resolve("x+{SPAN}/part-?.csv")[2] == [*names, "x+1/part-c.csv"]


def test_markers_of_spark_and_hive_are_no_data(folder):
    resolve = folder(
        "_SUCCESS",
        "._SUCCESS.crc",
        "_committed_4711",
        "_metadata",
        "part-0.parquet",
        "_data.parquet",
        "day=1/_SUCCESS",
        "day=1/part-1.parquet",
        "_temporary/part-2.parquet",
    )
    assert resolve("*")[2] == ["_data.parquet", "part-0.parquet"]
    assert resolve("*/*")[2] == ["day=1/part-1.parquet"]


def test_a_folder_of_markers_alone_is_empty(folder):
    with pytest.raises(DataError, match="the input folder is empty"):
        folder("_SUCCESS")("*")


def test_a_folder_that_looks_like_a_pattern_is_taken_literally(tmp_path):
    base = tmp_path / "data[1]"
    base.mkdir()
    (base / "a.csv").touch()
    found = resolve_input(str(base), InputConfig())
    assert found.files == (str(base / "a.csv"),)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{SPAN}/{SPAN}/*", r"\{SPAN\} may come only once"),
        ("{SPAN}/{YYYY}{MM}{DD}/*", r"either \{SPAN\} or"),
        ("{YYYY}/{MM}/*", r"each come exactly once"),
        ("{VERSION}/*", r"\{VERSION\} needs \{SPAN\} or a date"),
        ("{SPAN:x}/*", r"width of \{SPAN\} must be a positive number, got 'x'"),
        ("{SPAN:0}/*", r"must be a positive number"),
    ],
)
def test_wrong_patterns_are_refused(folder, pattern, message):
    with pytest.raises(ParameterError, match=message):
        folder("a")(pattern)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RangeConfig(), "either static_range or rolling_range"),
        (static(3, 2), "starts at span 3, after its end 2"),
        (rolling(0), "num_spans must be at least 1, got 0"),
    ],
)
def test_wrong_ranges_are_refused(folder, config, message):
    with pytest.raises(ParameterError, match=message):
        folder("1/a")("{SPAN}/*", range_config=config)


def test_a_range_needs_a_span_in_the_pattern(folder):
    with pytest.raises(ParameterError, match=r"pattern '\*' has no span.*Put \{SPAN\}"):
        folder("a")("*", range_config=rolling(1))


def test_a_span_that_is_not_there_is_reported_with_those_that_are(folder):
    with pytest.raises(DataError, match="expected span 7, found spans 1, 2 with the pattern"):
        folder("1/a", "2/a")("{SPAN}/*", range_config=static(7, 7))


def test_splits_must_have_the_same_latest_span(folder):
    resolve = folder("1/train", "1/eval", "2/train")
    with pytest.raises(DataError, match="same latest span: 's0' has 2, 's1' has 1"):
        resolve("{SPAN}/train", "{SPAN}/eval")


def test_a_name_that_is_no_number_is_reported(folder):
    with pytest.raises(DataError, match=r"expected a number for \{SPAN\} .* found 'old'"):
        folder("1/a", "old/a")("{SPAN}/*")


def test_a_date_that_does_not_exist_is_reported(folder):
    with pytest.raises(DataError, match=r"expected a date .* month must be in 1..12"):
        folder("2020-13-01")("{YYYY}-{MM}-{DD}")


def test_a_missing_folder_is_reported_with_the_nearest(tmp_path):
    (tmp_path / "taxi_data").mkdir()
    with pytest.raises(DataError, match=r"does not exist .*Did you mean .*/taxi_data\?"):
        resolve_input(str(tmp_path / "taxi_dta"), InputConfig())


def test_an_empty_folder_is_reported(tmp_path):
    with pytest.raises(DataError, match="the input folder is empty"):
        resolve_input(str(tmp_path), InputConfig())


def test_a_pattern_that_matches_nothing_is_reported_with_near_names(folder):
    with pytest.raises(DataError, match=r"'s0': nothing matches .*There is: train\.csv\."):
        folder("train.csv")("trian.csv")


@pytest.mark.needs("tfx.components")
def test_tfx_ranges_are_converted_by_their_names():
    from tfx.proto import range_config_pb2

    message = range_config_pb2.RangeConfig(
        static_range=range_config_pb2.StaticRange(start_span_number=0, end_span_number=3)
    )
    assert convert(message, RangeConfig | None, "x") == static(0, 3)


def test_all_spans_and_versions_are_found_in_order(tmp_path):
    for name in ("10/v1/a.csv", "2/v1/a.csv", "2/v3/a.csv", "2/v3/sub/b.csv", "2/v3/_SUCCESS"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("n\n")
    found = find_spans("data/{SPAN}/v{VERSION}", str(tmp_path))
    assert [(f.span, f.version, f.files) for f in found] == [(2, 1, 1), (2, 3, 2), (10, 1, 1)]


def test_a_folder_without_data_is_no_span(tmp_path):
    (tmp_path / "span-1").mkdir()
    (tmp_path / "span-2").mkdir()
    (tmp_path / "span-2" / "_SUCCESS").touch()
    assert find_spans(f"{tmp_path}/span-{{SPAN}}") == []


def test_signs_of_patterns_in_the_folder_s_own_name_are_no_pattern(tmp_path):
    folder = tmp_path / "a[b]*"
    (folder / "span-1").mkdir(parents=True)
    (folder / "span-1" / "a.csv").touch()
    assert [f.span for f in find_spans("span-{SPAN}", str(folder))] == [1]


def test_a_pattern_without_a_span_finds_none(tmp_path):
    with pytest.raises(ParameterError, match=r"the pattern 'data/\*' has no span\. Put \{SPAN\}"):
        find_spans("data/*", str(tmp_path))
