"""What benchmarks measure: processes with all that they start, kept by comparison."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "build" / "benchmarks"
WORK = "import time\nwhile time.process_time() < 0.5: pass\n"
# It ends at once, and leaves a process that works on.
LEAVES_A_WORKER = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {WORK!r}], start_new_session=True)
"""
SURVIVE = "import sys, time; sys.stdin.read(); time.sleep(2)"
LEAVES_A_SURVIVOR = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {SURVIVE!r}], stdin=subprocess.PIPE)
"""
LEAVES_A_SLEEPER = """
import subprocess
subprocess.Popen(["sleep", "600"])
"""


@pytest.fixture(autouse=True)
def _recipes(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    yield
    for path in RECIPES.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def measurements():
    return importlib.import_module("measurements")


@pytest.fixture
def processes():
    return importlib.import_module("processes")


def comparison(measurements, rows: int, *walls: float, date: str = "2026-01-02"):
    turns = [
        {"theirs": measurements.Sample(2 * wall), "ours": measurements.Sample(wall)}
        for wall in walls
    ]
    return measurements.Comparison("part", "run", rows, date, 2, "3.11", {}, turns)


def test_a_spread_is_a_median_with_the_least_and_the_greatest():
    spread = importlib.import_module("medians").spread
    assert spread([3.0, 1.0, 2.5]).shown() == "2.5 (1.0 to 3.0)"


def test_a_single_measurement_has_no_spread():
    assert importlib.import_module("medians").spread([1234.5]).shown(0) == "1,234"


def test_what_is_measured_again_takes_the_place_of_the_earlier(measurements):
    earlier = [comparison(measurements, rows, 1.0) for rows in (10, 500)]
    again = comparison(measurements, 10, 3.0, date="2026-02-03")
    ten, five_hundred = measurements.merged(earlier, [again])
    assert ten == again
    assert five_hundred == earlier[1]


def test_what_was_written_is_read_as_it_was(measurements, tmp_path):
    node = measurements.Node(0.5, 0.4, 1e6)
    turn = {"ours": measurements.Sample(2.0, 3.0, 4e6, {"Trainer": node})}
    one = measurements.Comparison("part", "run", 7, "2026-01-02", 2, "3.11", {"tfx": "1"}, (turn,))
    measurements.write(tmp_path / "kept.json", [one])
    assert measurements.read(tmp_path / "kept.json") == [one]


def test_ways_are_measured_by_turns_and_kept_after_each(measurements):
    asked: list[str] = []

    def way(name: str):
        return lambda: asked.append(name) or measurements.Sample(1.0, 1.0)

    ways = {"theirs": way("theirs"), "ours": way("ours"), "seldom": way("seldom")}
    found = list(measurements.by_turns(("part", "run", 0), ways, 2, {}, once=("seldom",)))
    assert asked == ["theirs", "ours", "seldom", "theirs", "ours"]
    assert [len(one.turns) for one in found] == [1, 2]


def test_a_ratio_is_that_of_the_medians_with_those_of_single_turns(measurements):
    turns = [
        {"theirs": measurements.Sample(theirs), "ours": measurements.Sample(ours)}
        for theirs, ours in ((10.0, 5.0), (30.0, 6.0), (20.0, 2.0))
    ]
    one = measurements.Comparison("part", "run", 0, "2026-01-02", 2, "3.11", {}, turns)
    assert one.ratio("theirs", "ours").shown() == "4.0 (2.0 to 10.0)"


def test_a_run_in_which_not_all_cpu_seconds_are_known_has_none(measurements):
    turns = [{"ours": measurements.Sample(1.0, cpu)} for cpu in (1.0, None)]
    one = measurements.Comparison("part", "run", 0, "2026-01-02", 2, "3.11", {}, turns)
    assert one.cpus_of("ours") is None


def test_the_cpu_seconds_of_what_outlives_a_program_count(processes, tmp_path):
    taken = processes.timed([sys.executable, "-c", LEAVES_A_WORKER], tmp_path)
    assert taken.cpu > 0.5


def test_a_program_s_seconds_end_with_it(processes, tmp_path):
    began = time.monotonic()
    taken = processes.timed([sys.executable, "-c", LEAVES_A_SURVIVOR], tmp_path)
    assert time.monotonic() - began > taken.wall + 1


def test_a_program_that_leaves_what_does_not_end_is_an_error_that_names_it(processes, tmp_path):
    command = [sys.executable, "-c", LEAVES_A_SLEEPER]
    with pytest.raises(processes.MeasurementError, match="left running: sleep 600"):
        processes.timed(command, tmp_path, lingering_seconds=1)


def test_a_program_that_fails_is_an_error_with_its_output(processes, tmp_path):
    with pytest.raises(processes.MeasurementError, match=r"exit 3\nwhy"):
        processes.timed(["sh", "-c", "echo why; exit 3"], tmp_path)


def test_an_unknown_part_is_refused_with_those_that_there_are(capsys, monkeypatch):
    bench = importlib.import_module("bench")
    monkeypatch.setattr(sys, "argv", ["bench.py", "--only", "chains"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "chains: expected some of chain, nodes, first, template" in capsys.readouterr().err


def test_a_part_that_fails_leaves_what_was_measured(measurements, processes, tmp_path, monkeypatch):
    bench = importlib.import_module("bench")
    plan = importlib.import_module("plan").Plan(tmp_path)

    def fails(_plan):
        yield comparison(measurements, 10, 1.0)
        raise processes.MeasurementError("exit 1")

    monkeypatch.setattr(bench, "PARTS", {"part": fails})
    measurements.write(tmp_path / "benchmarks.json", [comparison(measurements, 500, 2.0)])
    assert not bench.measured("part", plan, tmp_path)
    assert [one.rows for one in measurements.read(tmp_path / "benchmarks.json")] == [500, 10]


def test_a_chain_runs_in_a_project_of_its_own(tmp_path):
    projects = importlib.import_module("projects")
    program = RECIPES / "peers" / "penstock_chain.py"
    (tmp_path / program.name).write_text(program.read_text())
    (tmp_path / "penstock.toml").write_text("[pipelines]\n")
    ran = projects.Project(tmp_path).run("penstock_chain.py:chain", "--no-cache", warm=False)
    assert list(ran.nodes) == [f"node_{number}" for number in range(20)]
    assert 0 < ran.beside_nodes().wall < ran.wall
