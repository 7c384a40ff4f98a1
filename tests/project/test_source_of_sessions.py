"""Which code a function consists of that is in no file, as in a notebook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SESSION = """
import functools, json, sys
from dataclasses import dataclass
import features
from features import helper
LIMIT = 3
WORDS = {"one", "two", "three"}
@dataclass
class Options:
    steps: int = 1
    def doubled(self):
        return self.steps * TWO
TWO = 2
OPTIONS = Options(7)
def nested():
    return 1
@functools.cache
def remembered():
    return 1
def unused():
    return 1
def entry(limit=LIMIT):
    import imported_late
    if limit in {"a", "b", "c"}:
        return WORDS
    numbers = [nested() for _ in range(3)]
    key = lambda x: x + 1
    return numbers, key, remembered(), OPTIONS.doubled(), helper(), json.dumps({})
from penstock.project.source import function_digests
print(json.dumps(function_digests(entry), sort_keys=True))
"""


@pytest.fixture
def digests(tmp_path):
    def run(before: str = "", after: str = "", seed: str = "1") -> str:
        assert before in SESSION
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-"],
            input=SESSION.replace(before, after, 1) if before else SESSION,
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    Path(tmp_path, "features.py").write_text("def helper():\n    return 1\n")
    Path(tmp_path, "imported_late.py").write_text("A = 1\n")
    return run


@pytest.fixture
def first(digests):
    return digests()


def test_the_digests_are_the_same_in_every_process(digests, first):
    assert digests(seed="2") == first


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("def nested():\n    return 1", "def nested():\n    return 2"),
        ("def remembered():\n    return 1", "def remembered():\n    return 2"),
        ("self.steps * TWO", "self.steps + TWO"),
        ("TWO = 2", "TWO = 3"),
        ("Options(7)", "Options(8)"),
        ("x + 1", "x + 2"),
        ('"one", ', '"zero", '),
        ('"a", "b"', '"a", "d"'),
    ],
)
def test_what_a_function_uses_counts(digests, first, before, after):
    assert digests(before, after) != first


def test_what_a_function_does_not_use_may_change(digests, first):
    assert digests("def unused():\n    return 1", "def unused():\n    return 2") == first


@pytest.mark.parametrize("file", ["features.py", "imported_late.py"])
def test_local_modules_that_a_function_uses_count(digests, first, tmp_path, file):
    assert file in first
    Path(tmp_path, file).write_text("def helper():\n    return 2\n")
    assert digests() != first
