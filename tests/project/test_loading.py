"""Which pipeline a name, a file, a module or a function means."""

from __future__ import annotations

import importlib.util
import os
import sys
import textwrap

import pytest

from penstock.errors import ConfigError, UserCodeError
from penstock.project.config import read_config

pytestmark = pytest.mark.core

OURS = """
from penstock import pipeline
from penstock_support.example_components import Doubling

@pipeline
def doubling():
    return [Doubling()]
"""
OTHER = """
@pipeline
def other():
    return [Doubling()]
"""
OF_TFX = """
from tfx.orchestration.pipeline import Pipeline

def create_pipeline(pipeline_name="theirs"):
    return Pipeline(pipeline_name=pipeline_name, pipeline_root="root")
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write a file and load the pipeline that a name means, from the file's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", __import__("sys").path[:])

    def load(name: str, **files: str):
        for stem, text in files.items():
            (tmp_path / f"{stem}.py").write_text(textwrap.dedent(text))
        return read_config(None).load_pipeline(name)

    return load


@pytest.mark.parametrize("name", ["alone_a.py", "alone_a", "alone_a.py:doubling"])
def test_a_file_or_module_with_one_pipeline_is_that_pipeline(load, name):
    assert load(name, alone_a=OURS).name == "doubling"


@pytest.mark.parametrize("name", ["theirs_a.py", "theirs_a", "theirs_a.py:create_pipeline"])
def test_a_function_that_returns_a_pipeline_of_tfx_is_called(load, name):
    assert load(name, theirs_a=OF_TFX).pipeline_name == "theirs"


@pytest.mark.parametrize("name", ["just_a", "just_b.py"])
def test_a_file_is_found_that_was_written_just_after_its_folder_was_looked_at(load, tmp_path, name):
    sys.path.insert(0, str(tmp_path))
    assert importlib.util.find_spec("just_written") is None
    looked_at = tmp_path.stat()
    (tmp_path / f"{name.removesuffix('.py')}.py").write_text(OURS)
    os.utime(tmp_path, ns=(looked_at.st_atime_ns, looked_at.st_mtime_ns))
    assert load(name).name == "doubling"


def test_a_folder_of_a_file_s_name_elsewhere_is_not_taken_for_it(load, tmp_path):
    (tmp_path / "elsewhere" / "folder_a").mkdir(parents=True)
    sys.path.append(str(tmp_path / "elsewhere"))
    importlib.import_module("folder_a")
    assert load("folder_a.py", folder_a=OURS).name == "doubling"


def test_a_module_may_have_a_pipeline_of_tfx_itself(load):
    assert load("made_a.py", made_a=f"{OF_TFX}\nmade = create_pipeline()").pipeline_name == "theirs"


def test_of_several_pipelines_one_has_to_be_named(load):
    with pytest.raises(ConfigError) as raised:
        load("several_a.py", several_a=OURS + OTHER)
    assert "several_a.py has 2 pipelines: doubling, other" in str(raised.value)
    assert "Say which: several_a.py:doubling." in str(raised.value)


def test_a_module_without_a_pipeline_says_what_one_is(load):
    with pytest.raises(ConfigError, match="none_a.py has no pipeline .*Decorate a function with"):
        load("none_a.py", none_a="x = 1")


def test_a_function_that_needs_arguments_names_them(load):
    with pytest.raises(ConfigError) as raised:
        load("needs_a.py", needs_a=OF_TFX.replace('="theirs"', ""))
    assert "the function create_pipeline needs pipeline_name" in str(raised.value)
    assert "needs_a.py:4" in str(raised.value)


def test_a_function_that_returns_no_pipeline_says_what_it_returned(load):
    with pytest.raises(ConfigError, match="the function nodes returned list where a pipeline"):
        load("nodes_a.py:nodes", nodes_a="def nodes(): return []")


def test_a_function_that_raises_shows_the_line(load):
    with pytest.raises(UserCodeError, match=r"nodes failed: ZeroDivisionError.*nodes_b.py:1"):
        load("nodes_b.py:nodes", nodes_b="def nodes(): return 1 / 0")


def test_a_name_that_is_no_place_is_answered_with_the_nearest(load):
    with pytest.raises(ConfigError, match="no pipeline 'penguns'. Did you mean 'penguins'"):
        load("penguns")
