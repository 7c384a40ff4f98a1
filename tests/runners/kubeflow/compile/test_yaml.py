"""Every reader of YAML takes a text of a compiled pipeline for that text."""

from __future__ import annotations

import io

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from penstock.runners.kubeflow.compile import protos
from penstock.runners.kubeflow.compile.yaml_text import as_yaml

# What one reader or another takes for a number, a date, a truth or a line's end.
MISTAKABLE = [
    "1e3", "0o7", "0x1F", "1_000", ".5", "12e3", "1.", "+1", "y", "N", "yes", "Off", "true", "NULL",
    "~", "", "2024-01-01", "12:30:45", ".inf", ".NaN", "Infinity", "=", "<<", "0b1", "- a", "a: b",
    "a #b", "a\u0085b", "a\u2028b", "a\nb", " a\nb", "a \nb\n", "a\n\n", "\na", "a\tb\nc", "a\r\nb",
    "|", "---", "...", "%a", "@a", "`a", "null", "é\nb", "\ufeff", "x\x07", "0777", "1e3\n",
]  # fmt: skip


def written(text: str) -> str:
    spec = protos.pipeline_spec().PipelineSpec()
    spec.root.input_definitions.parameters["p"].default_value.string_value = text
    spec.root.input_definitions.parameters["p"].description = text
    return as_yaml(spec)


def texts(content: dict) -> list[object]:
    parameter = content["root"]["inputDefinitions"]["parameters"]["p"]
    return [parameter["defaultValue"], parameter.get("description", "")]


def read_1_2(document: str) -> dict:
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 2)
    return reader.load(io.StringIO(document))


@pytest.mark.parametrize("text", MISTAKABLE)
def test_a_text_that_could_be_something_else_stays_a_text(text):
    assert texts(yaml.safe_load(written(text))) == [text, text]
    assert texts(read_1_2(written(text))) == [text, text]


@settings(deadline=None, max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@example("0.1e-9")
def test_any_text_is_read_as_it_is(text):
    assert texts(yaml.safe_load(written(text))) == [text, text]
    assert texts(read_1_2(written(text))) == [text, text]


@settings(deadline=None, max_examples=300)
@given(st.from_regex(r"[0-9.+-][0-9.eExXoO_+:-]{0,7}", fullmatch=True))
def test_what_looks_like_a_number_is_in_quotes(text):
    assert f'defaultValue: "{text}"' in written(text)


def test_a_key_that_could_be_a_number_is_a_text():
    spec = protos.pipeline_spec().PipelineSpec()
    spec.components["1e3"].executor_label = "y"
    assert '"1e3":' in as_yaml(spec)
    assert yaml.safe_load(as_yaml(spec))["components"]["1e3"]["executorLabel"] == "y"
