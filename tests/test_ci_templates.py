"""The workflow files for continuous training call commands and options that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from penstock.surfaces.cli.main import penstock as group

FILES = sorted((Path(__file__).parents[1] / "build" / "ci").glob("*.yml"))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("run", "script"):
                yield from item if isinstance(item, list) else item.splitlines()
            else:
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def commands(path: Path) -> list[list[str]]:
    lines = texts(yaml.safe_load(path.read_text()))
    without_expressions = [re.sub(r"\$\{\{.*?\}\}", "VALUE", line) for line in lines]
    return [shlex.split(line)[1:] for line in without_expressions if line.startswith("penstock ")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_command_of_a_workflow_is_understood(path):
    called = commands(path)
    assert {name for name, *_ in called} == {"plan", "compile", "schedule"}
    for name, *arguments in called:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        # Parsing alone: unknown options and lacking arguments are errors.
        command.make_context(name, list(arguments))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_no_workflow_writes_a_secret_down(path):
    assert not re.search(r"token:? +[A-Za-z0-9]{8,}", path.read_text())


def test_there_are_workflows_for_two_services():
    assert [path.name for path in FILES] == ["github-actions.yml", "gitlab-ci.yml"]
