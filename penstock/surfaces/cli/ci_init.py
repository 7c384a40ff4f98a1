"""Writing a project's workflows: what a service for CI calls, when something changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from penstock.errors import ParameterError
from penstock.project.config import Config
from penstock.project.profiles import Profile
from penstock.safety import secrets
from penstock.surfaces.cli.ci_comment import marker
from penstock.surfaces.cli.options import project_config
from penstock.surfaces.cli.printing import echo, echo_text


@dataclass(frozen=True)
class Service:
    """A service: its template, where its file belongs in a repository, and where it stays open."""

    template: str
    place: str


SERVICES: Mapping[str, Service] = {
    "github": Service("github.yml", ".github/workflows/penstock.yml"),
    "gitlab": Service("gitlab.yml", ".gitlab-ci.yml"),
    "cloudbuild": Service("cloudbuild.yaml", "cloudbuild.yaml"),
    "tekton": Service("tekton.yaml", ".tekton/penstock.yaml"),
    "argo-events": Service("argo-events.yaml", ".argo/penstock.yaml"),
}

_REQUIREMENTS = ("requirements.txt", "requirements.lock")


@dataclass(frozen=True)
class _Stage:
    """An environment's job, the job that it comes after, and what its profile asks of variables."""

    name: str
    after: str
    approval: bool
    secrets: tuple[str, ...]


@click.command()
@click.option(
    "--service",
    type=click.Choice(list(SERVICES)),
    default="github",
    show_default=True,
    help="Which service the workflow is for.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--stdout", "to_stdout", is_flag=True, help="Write to standard output alone.")
@click.pass_context
def init(context: click.Context, service: str, force: bool, to_stdout: bool) -> None:
    """Write a workflow that plans and checks each change, and deploys what is pushed.

    It runs the commands of `penstock ci` and `penstock trigger check`, with a job for each
    environment of penstock.toml, after those that it needs.

    \b
    Examples:
      penstock ci init
      penstock ci init --service gitlab
    """
    from penstock.operations.delivery.repository import top_of

    config = project_config(context)
    top = top_of(config.folder.resolve()).resolve()
    text = workflow(service, config, top)
    if to_stdout:
        echo_text(text)
        return
    path = top / SERVICES[service].place
    if path.exists() and not force:
        raise ParameterError(
            f"{path} is there already",
            hint="Write over it with --force, or look at what would be written with --stdout.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    echo(f"wrote {path}")
    if not config.environments:
        echo(
            "There is no environment to deploy to yet: write [environments.NAME] into "
            "penstock.toml, and give the same command again with --force."
        )


def workflow(service: str, config: Config, top: Path) -> str:
    """Return the workflow of a project for a service; `top` is the top of its repository."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("penstock.surfaces.cli", "templates/ci"),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # YAML is no HTML
    )
    return environment.get_template(SERVICES[service].template).render(**_values(config, top))


def _values(config: Config, top: Path) -> dict[str, Any]:
    folder = config.folder.resolve().relative_to(top).as_posix()
    folder = "" if folder == "." else folder
    prefix = f"{folder}/" if folder else ""
    there = [name for name in _REQUIREMENTS if (config.folder / name).exists()]
    lock = there[0] if there else "pyproject.toml"
    return {
        "environments": list(_stages(config)),
        "secrets": sorted({name for p in config.profiles.values() for name in _secrets(p)}),
        "folder": folder,
        "prefix": prefix,
        "below": f"/{folder}" if folder else "",
        "lock": f"{prefix}{lock}",
        "install": f"pip install -r {lock}" if there else "pip install .",
        "marker": marker(folder),
    }


def _stages(config: Config) -> Iterator[_Stage]:
    """Yield environments after those that they need."""
    done: list[str] = []
    while len(done) < len(config.environments):
        for name, environment in config.environments.items():
            if name not in done and all(needed in done for needed in environment.needs):
                after = [f"deploy-{needed}" for needed in environment.needs]
                secrets = _secrets(config.profile(environment.profile or None))
                yield _Stage(name, (after or ["check"])[-1], environment.approval, secrets)
                done.append(name)


def _secrets(profile: Profile) -> tuple[str, ...]:
    """Return the variables that a profile refers to."""
    return tuple(sorted(set(secrets.names(json.dumps(asdict(profile), default=str)))))
