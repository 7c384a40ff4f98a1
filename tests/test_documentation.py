"""What README and docs show is true: their code runs, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import textwrap
import tomllib
from pathlib import Path

import pytest
import yaml

from penstock import ir
from penstock.authoring.pipeline import PipelineDefinition
from penstock.config import read_config
from penstock_support import pages

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *ROOT.glob("components/*/README.md"),
        *ROOT.glob("pipelines/*/README.md"),
    ]
)


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for _, text in found]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_pages_whose_blocks_are_run_are_those_of_the_documentation():
    assert set(pages.PAGES) == set((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_python_block_compiles(page):
    for block in blocks(page, "python"):
        compile(block, name(page), "exec")


def test_the_readme_s_pipeline_compiles_to_ir(tmp_path, monkeypatch):
    code = blocks(ROOT / "README.md", "python")[0]
    (tmp_path / "majority.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    definition = read_config(None).load_pipeline(f"{tmp_path / 'majority.py'}:majority")
    assert isinstance(definition, PipelineDefinition)
    compiled = ir.compile_pipeline(definition, pipeline_root=str(tmp_path))
    assert list(ir.view(compiled).nodes) == ["CsvExampleGen", "MajorityClass", "StatisticsGen"]


@pytest.mark.parametrize("page", pages.PAGES, ids=name)
def test_every_block_is_of_a_kind_that_tests_run_or_says_why_it_is_not_run(page):
    known = (*pages.KNOWN, *pages.SHOWN)
    others = [
        str(block)
        for block in pages.blocks(page)
        if block.language not in known and not block.language.startswith("{") and not block.not_run
    ]
    assert others == [], "write the line before it: <!-- not run: why -->"


@pytest.mark.parametrize("page", pages.PAGES, ids=name)
def test_every_toml_and_yaml_block_is_read(page):
    readers = {"toml": tomllib.loads, "yaml": lambda text: list(yaml.safe_load_all(text))}
    for block in pages.blocks(page):
        if block.language in readers and not block.not_run:
            assert readers[block.language](block.text)


COMMAND_LINES = [
    (page, line)
    for page in PAGES
    for block in pages.blocks(page)
    if block.language == pages.COMMANDS
    for line in block.commands.splitlines()
    if line.startswith("penstock ")
]


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES, ids=lambda value: str(value)[-40:])
def test_every_command_is_one_that_penstock_has(page, line):
    from penstock.surfaces.cli.main import penstock

    words = shlex.split(re.split(r" [|>]", line)[0], comments=True)[1:]
    context = penstock.make_context("penstock", list(words), resilient_parsing=True)
    command_name, command, rest = penstock.resolve_command(context, words)
    assert command is not None
    command.make_context(command_name, rest, parent=context)


def test_the_configuration_page_s_file_is_read(tmp_path):
    [text] = blocks(ROOT / "docs" / "configuration.md", "toml")
    assert tomllib.loads(text)
    path = tmp_path / "penstock.toml"
    path.write_text(text)
    assert set(read_config(path).profiles) == {"default", "laptop", "team"}


SERVED = """
[profiles.team]
[deployments.flights]
model = "flights"
[deployments.flights.local]
state = "state"
[deployments.flights.log]
folder = "log"
"""


@pytest.mark.parametrize("text", blocks(ROOT / "docs" / "monitoring.md", "toml"))
def test_the_monitoring_page_s_tables_are_read(tmp_path, text):
    path = tmp_path / "penstock.toml"
    path.write_text(SERVED + text)
    read = read_config(path)
    assert (read.monitors or read.deployments["flights"].gates.alerts) != ()


def test_the_monitoring_page_names_every_option():
    from dataclasses import fields

    from penstock.project import monitors

    page = (ROOT / "docs" / "monitoring.md").read_text()
    tables = (
        monitors.Monitor,
        monitors.QualityTests,
        monitors.DriftTests,
        monitors.FeatureTest,
        monitors.Labels,
        monitors.PerformanceTests,
        monitors.Limits,
        monitors.FairnessTests,
        monitors.TrafficLimits,
    )
    options = {option.name for table in tables for option in fields(table)} - {"name"}
    assert {option for option in options if option not in page} == set()


def test_the_kubeflow_page_s_profile_is_read_and_compiles(tmp_path):
    from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow

    text, *_ = blocks(ROOT / "docs" / "kubeflow.md", "toml")
    (tmp_path / "penstock.toml").write_text(text)
    config = read_config(tmp_path / "penstock.toml")
    pipeline = config.load_pipeline("flights")
    compiled = compile_for_kubeflow(pipeline, config.profile("kubeflow"), tmp_path)
    assert compiled.name == "flights"
    [warning] = compiled.warnings
    assert "registry.example/team/flights is named by a tag" in warning


def test_the_kubeflow_page_s_schedules_are_read(tmp_path):
    _, text, _ = blocks(ROOT / "docs" / "kubeflow.md", "toml")
    (tmp_path / "penstock.toml").write_text(text)
    options = read_config(tmp_path / "penstock.toml").profile("kubeflow").kubeflow
    assert options.schedules["nightly"].pipeline == "flights"
    assert (options.experiments, options.versions) == (("research",), ("penguins",))


def test_the_kubeflow_page_s_small_nodes_are_read(tmp_path):
    *_, text = blocks(ROOT / "docs" / "kubeflow.md", "toml")
    (tmp_path / "penstock.toml").write_text(text)
    options = read_config(tmp_path / "penstock.toml").profile("kubeflow").kubeflow
    assert options.share_pods
    assert options.small_nodes == ("MergeTables", "Notify")


def test_the_kubeflow_page_s_numbers_of_shared_pods_are_those_of_flights():
    page = (ROOT / "docs" / "kubeflow.md").read_text(encoding="utf-8")
    assert "flights has 12 tasks, and nine on its longest way" in page
    assert _tasks_and_longest_way("flights") == (12, 9)
    assert "it has eight tasks, seven on its longest way" in page
    assert _tasks_and_longest_way("flights_shared") == (8, 7)


def _tasks_and_longest_way(golden):
    text = (ROOT / "tests" / "golden" / f"{golden}.yaml").read_text()
    tasks = next(yaml.safe_load_all(text))["root"]["dag"]["tasks"]

    def way(name):
        return 1 + max(map(way, tasks[name].get("dependentTasks", ())), default=0)

    return len(tasks), max(map(way, tasks))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_a_page_exists(page):
    from penstock.surfaces.cli.main import COMMANDS

    named = {
        command
        for block in blocks(page, "console")
        for command in re.findall(r"^\$ penstock (\w+)", block, re.MULTILINE)
    }
    assert named <= set(COMMANDS)


def test_every_command_that_the_readme_names_exists():
    from penstock.surfaces.cli.main import COMMANDS

    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?:^\$? *|`)penstock ([a-z]+)", text, re.MULTILINE))
    assert named >= {"run", "show"}
    assert named <= set(COMMANDS)
