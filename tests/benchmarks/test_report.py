"""The benchmark's pages and plots, from made-up measurements, and its data."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

RECIPES = Path(__file__).parents[2] / "build" / "benchmarks"


PLOTS = ["time-by-node", "time-by-rows", "steps-by-rows", "memory-by-rows"]


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    yield
    for path in RECIPES.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("script", sorted(path.stem for path in RECIPES.glob("*.py")))
def test_every_script_finds_what_it_imports(recipes, script):
    assert importlib.import_module(script).__doc__


def comparison(part: str, rows: int, *turns: dict[str, object], case: str = "run"):
    from measurements import Comparison

    return Comparison(part, case, rows, "2026-01-02", 2, "3.11", {"tfx": "1"}, turns)


def sample(wall: float, *, cpu: float | None = None, nodes: bool = False):
    from both_pipelines import NODES
    from measurements import Node, Sample

    of_nodes = {name: Node(wall / 10, cpu and cpu / 10, wall * 1e6) for name in NODES}
    return Sample(wall, cpu, wall * 1e7, of_nodes if nodes else {})


def written(folder: Path, *comparisons) -> str:
    import report

    report.write(comparisons, folder)
    return (folder / "benchmarks.md").read_text()


@pytest.fixture
def components(recipes):
    by_rows = {
        rows: [
            {
                "tfx": sample(100.0 + repeat + rows / 1000, nodes=True),
                "cold": sample(10.0 + repeat, nodes=True),
            }
            for repeat in range(3)
        ]
        for rows in (1000, 100_000)
    }
    return [
        *(comparison("components", rows, *turns) for rows, turns in by_rows.items()),
        comparison("components", 1_000_000, {"cold": sample(90.0, nodes=True)}),
    ]


@pytest.fixture
def page(components, tmp_path):
    written(tmp_path, *components)
    return tmp_path


def test_the_page_has_medians_with_their_spread_and_the_ratio(page):
    text = (page / "benchmarks.md").read_text()
    row = "102.0 (101.0 to 103.0) | 11.0 (10.0 to 12.0) | **9.3** (8.6 to 10.1) |"
    assert row in text


def test_the_page_says_how_a_step_grows_beyond_what_tfx_was_given(page):
    text = (page / "benchmarks.md").read_text()
    assert "1.1 (11.0; 11 MB) | 9.0 (9.0; 90 MB) |" in text
    assert "## 1,000,000 rows" not in text


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_a_picture_with_a_name(page, name):
    root = ElementTree.parse(page / "images" / f"{name}.svg").getroot()
    assert root.get("aria-label")
    assert len(list(root.iter())) > 10


def test_a_target_that_is_reached_is_met_and_stands_beside_both_seconds(recipes, tmp_path):
    turns = [
        {"tfx": sample(60.0, cpu=50.0), "cold": sample(20.0, cpu=22.0)},
        {"tfx": sample(66.0, cpu=52.0), "cold": sample(22.0, cpu=22.5)},
    ]
    text = written(tmp_path, comparison("template", 10_000, *turns))
    row = "| 3.0 (3.0 to 3.0) | 2.5 times | yes | 63.0, 51.0 | 21.0, 22.2 | 2026-01-02 |"
    assert f"| TFX's taxi template by `penstock run`, 10,000 rows, cold {row}" in text


def test_a_target_that_is_not_reached_is_not_met(recipes, tmp_path):
    turn = {"tfx": sample(40.0, cpu=30.0), "script": sample(40.0, cpu=30.0)}
    text = written(tmp_path, comparison("template", 500_000, turn))
    row = "| 1.0 | 6 times | **no** | 40.0, 30.0 | 40.0, 30.0 | 2026-01-02 |"
    assert f"| the same, 500,000 rows {row}" in text


def test_a_target_of_a_node_is_of_that_node_s_seconds(recipes, tmp_path):
    theirs, ours = sample(400.0, cpu=300.0, nodes=True), sample(20.0, cpu=30.0, nodes=True)
    turn = {"tfx": theirs, "cold": ours, "warm": ours}
    text = written(tmp_path, comparison("components", 500_000, turn))
    row = "| 20.0 | 15 times | yes | 40.0, 30.0 | 2.0, 3.0 | 2026-01-02 |"
    assert f"| StatisticsGen, 500,000 rows, warm {row}" in text


def test_what_a_first_run_takes_beside_its_nodes_is_a_target_in_seconds(recipes, tmp_path):
    turn = {"cold": sample(10.0, cpu=5.0, nodes=True), "warm": sample(4.0, cpu=2.0, nodes=True)}
    text = written(tmp_path, comparison("first", 1_000, turn))
    begin = "| first `penstock run` of an `init` project, 1,000 rows"
    assert (
        f"{begin}, cold | 3.0 | 2 s beside its nodes | **no** |  | 10.0, 5.0 | 2026-01-02" in text
    )
    assert "| warm | 4.0 | 1.2 | 2.0 | 0.6 |" in text


def test_a_target_that_was_not_measured_says_so(recipes, tmp_path):
    text = written(tmp_path)
    assert (
        "| twenty empty nodes in a chain, beside ZenML | not measured | 9 times | | | | |" in text
    )


def test_the_table_of_the_template_is_written_into_the_page_for_tfx(recipes, tmp_path):
    import report

    (tmp_path / "from-tfx.md").write_text(f"before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n")
    turns = [{"tfx": sample(wall, cpu=wall - 1), "warm": sample(9.0, cpu=8.0)} for wall in (30, 32)]
    written(tmp_path, comparison("template", 10_000, *turns))
    text = (tmp_path / "from-tfx.md").read_text()
    assert "| TFX's `LocalDagRunner`, a script | 30.0 / 31.0 |" in text
    assert "| `penstock run`, warm | 8.0 / 9.0 |" in text
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


def test_the_pages_of_the_project_are_those_of_what_it_has_measured(recipes, tmp_path):
    import measurements

    docs = RECIPES.parents[1] / "docs"
    (tmp_path / "from-tfx.md").write_text((docs / "from-tfx.md").read_text())
    text = written(tmp_path, *measurements.read(docs / "benchmarks.json"))
    assert text == (docs / "benchmarks.md").read_text()
    assert (tmp_path / "from-tfx.md").read_text() == (docs / "from-tfx.md").read_text()


def test_generated_rides_are_the_same_every_time(recipes):
    from rides import rides

    assert rides(500).equals(rides(500))
    assert rides(500).num_columns == 18


def test_generated_rides_lack_values_and_have_two_labels(recipes):
    from both_pipelines import LABEL
    from rides import rides

    table = rides(500)
    assert table["company"].null_count > 50
    assert set(table[LABEL].to_pylist()) == {0, 1}


def test_what_each_further_node_of_a_chain_takes_is_told(recipes, tmp_path):
    lengths = {20: 1.0, 120: 5.0}
    chains = [comparison("nodes", length, {"run": sample(lengths[length])}) for length in lengths]
    lines = written(tmp_path, *chains).splitlines()
    [line] = [line for line in lines if line.startswith("| 120 | 5.0")]
    assert "; **40** |" in line
