"""Starting a project: from a sample, or from a CSV file of one's own."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import click

from penstock.errors import ParameterError
from penstock.surfaces.cli.frameworks import FRAMEWORKS, lightest_installed
from penstock.surfaces.cli.printing import echo, secho

TEMPLATES = {
    "tabular": "a model of a CSV file's column: validated, trained, evaluated, pushed",
    "functions": "components of your own, without TensorFlow",
    "monitor": "what is watched of a model that serves, with a sample of its log",
}
_FIRST = {"monitor": "make sample && penstock monitor run"}


@click.command()
@click.argument("folder", required=False, default=".", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(list(TEMPLATES)),
    default="tabular",
    show_default=True,
    help="; ".join(f"{name}: {text}" for name, text in TEMPLATES.items()) + ".",
)
@click.option(
    "--data",
    metavar="FILE.csv",
    help="Your own data: CSV, Parquet or JSON, also compressed, or a folder of such files; by "
    "default a small sample.",
)
@click.option("--label", metavar="COLUMN", help="The column of --data to predict.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What kind of model; by default what the label's values look like.",
)
@click.option(
    "--framework",
    type=click.Choice(list(FRAMEWORKS)),
    help="What trains the model; by default the lightest that is installed. keras brings all of "
    "TFX: validation of data, and preprocessing as a TensorFlow graph.",
)
@click.option("--name", help="The pipeline's name; by default the folder's.")
def init(
    folder: Path,
    template: str,
    data: str | None,
    label: str | None,
    task: str | None,
    framework: str | None,
    name: str | None,
) -> None:
    """Write a new project into FOLDER: a pipeline that works, with tests, for you to edit.

    No file that is there already is touched.

    \b
    Examples:
      penstock init churn --data customers.csv --label Left
      penstock init flowers --framework xgboost
      penstock init sums --template functions
      penstock init watch --template monitor --name people
    """
    from penstock.surfaces.cli import project

    folder = folder.resolve()
    name = pipeline_name(folder, name)
    if template != "tabular":
        if data or label or task or framework:
            raise ParameterError(
                "--data, --label, --task and --framework are for the template tabular, not "
                f"{template}"
            )
        files = project.render([template], name, {})
        first = _FIRST.get(template, f"penstock run {name}")
        _report(first, folder, project.write(files, folder), [])
        return
    if label is None and data is not None:
        raise project.ask_for_label(data)
    if data is None:
        if label or task:
            raise ParameterError(
                "--label and --task are about your own data", hint="Name it: --data FILE.csv."
            )
        data, label = str(project.SAMPLE), project.SAMPLE_LABEL
    assert label is not None
    plan = project.describe(data, label, task)
    chosen = FRAMEWORKS[framework] if framework else lightest_installed()
    variables = {**plan.variables, **project.describe_framework(chosen, plan.variables["task"])}
    files = project.render(chosen.templates, name, variables)
    files[Path("data", plan.file_name)] = plan.data
    remarks = [*plan.remarks, f"the model is trained with {chosen.shown}"]
    if not chosen.is_installed:
        remarks.append(
            f"{chosen.shown} is not installed yet: pip install 'penstock[{chosen.extra}]'"
        )
    _report(f"penstock run {name}", folder, project.write(files, folder), remarks)


def pipeline_name(folder: Path, choice: str | None) -> str:
    """Return the name of the pipeline, which is also that of its Python package.

    Raises:
      ParameterError: the name that was asked for cannot be one, or another package has it.
    """
    if choice is None:
        name = re.sub(r"\W+", "_", folder.name.lower(), flags=re.ASCII).strip("_")
        name = name if re.match(r"[a-z]", name) else f"pipeline_{name}".rstrip("_")
        return f"{name}_pipeline" if _is_taken(name) else name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", choice):
        raise ParameterError(
            f"expected a name of small letters, digits and _ that begins with a letter, got "
            f"{choice!r}"
        )
    if _is_taken(choice):
        raise ParameterError(
            f"{choice!r} is the name of a Python module already", hint="Give another --name."
        )
    return choice


def _is_taken(name: str) -> bool:
    import keyword

    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in ("data", "tests"):
        return True
    if name in sys.stdlib_module_names:
        return True
    # A folder of the name, as the one that is to become the project, is none.
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _report(first: str, folder: Path, written: list[Path], remarks: list[str]) -> None:
    here = Path.cwd()
    for path in written:
        relative = path.relative_to(here) if path.is_relative_to(here) else path
        secho("  wrote  ", fg="green", nl=False)
        echo(str(relative))
    for remark in remarks:
        echo(remark)
    enter = "" if folder == here else f"cd {_quoted(folder, here)} && "
    echo(f"next: {enter}{first}")


def _quoted(folder: Path, here: Path) -> str:
    import shlex

    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))
