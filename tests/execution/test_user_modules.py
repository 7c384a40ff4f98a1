"""How a user's module reaches Beam's workers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from penstock.execution.user_modules import reach_workers

pytestmark = pytest.mark.core
PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture
def module_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "words_of_mine.py").write_text("import letters_of_mine\n")
    (folder / "letters_of_mine.py").write_text("")
    return str(folder / "words_of_mine.py")


@pytest.mark.parametrize(
    "beam_args",
    [
        (),
        ("--direct_running_mode=in_memory",),
        ("--runner=DirectRunner", "--direct_running_mode", "multi_threading"),
    ],
)
def test_where_beam_works_in_this_process_the_file_is_as_good(module_file, beam_args, tmp_path):
    given = {"module_file": module_file}
    assert reach_workers(given, beam_args, "Transform", str(tmp_path)) == given


def test_other_processes_import_it_by_its_name_with_what_stands_beside_it(module_file, tmp_path):
    given = reach_workers({"module_file": module_file}, PROCESSES, "Transform", str(tmp_path))
    assert given == {"module_file": None, "module_path": "words_of_mine"}
    imported = "import words_of_mine; print(words_of_mine.letters_of_mine.__file__)"
    printed = subprocess.check_output([sys.executable, "-c", imported], text=True, env=os.environ)
    assert printed.strip() == module_file.replace("words", "letters")


def test_the_path_that_was_there_stays(module_file, tmp_path):
    reach_workers({"module_file": module_file}, PROCESSES, "Transform", str(tmp_path))
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [
        os.path.dirname(module_file),
        "/elsewhere",
    ]


def test_a_function_given_by_its_name_stays_as_it_is(tmp_path):
    given = {"module_file": None, "preprocessing_fn": "words.preprocessing_fn"}
    assert reach_workers(given, PROCESSES, "Transform", str(tmp_path)) == given
