"""Native libraries that crash, as Arrow does at some damaged Parquet files."""

from __future__ import annotations

from penstock import pipeline
from penstock_support import example_components as examples


def test_a_crash_names_its_signal_and_what_was_read_and_leaves_nothing(project, make_bad_run):
    @pipeline
    def crashing(rows: int = 3):
        return [examples.MakeExamples(rows=rows), examples.Crashes()]

    @pipeline(name="crashing")
    def sound(rows: int = 3):
        return [examples.MakeExamples(rows=rows)]

    assert project.run(sound).succeeded
    bad_run = make_bad_run(crashing, rows=4)
    error = bad_run.error("Crashes")
    assert error.startswith("its process was killed by SIGSEGV: a native library crashed")
    assert error.endswith("The end of its log: Reading data.parquet")
    bad_run.check_that_nothing_else_happened()
