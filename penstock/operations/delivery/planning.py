"""What a change does to a project: both sides described, each in a process of its own, compared."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from penstock.errors import ConfigError
from penstock.operations.delivery import process
from penstock.operations.delivery.comparing import (
    Files,
    ProjectChange,
    changed_packages,
    compare,
    named_from_top,
    unlooked_at,
)
from penstock.operations.delivery.descriptions import (
    PipelineDescription,
    ProjectDescription,
)
from penstock.operations.delivery.repository import FileChanges, Repository, find_repository, top_of
from penstock.operations.delivery.requests import Request
from penstock.project.config import FILE_NAME, Config


def plan_change(config: Config, base: str, profile: str | None = None) -> ProjectChange:
    """Return what the working tree does to a project's pipelines, compared with a base.

    The base is the commit at which the branch that is checked out has left `base`. Nothing is
    written to the repository. Of the base's code that does not import, the change tells.

    Raises:
      ConfigError: there is no penstock.toml, no repository, or no such commit in it.
    """
    if config.path is None:
        raise ConfigError(
            f"there is no {FILE_NAME} here or above",
            hint="A change is told of the pipelines that one names.",
        )
    folder = config.folder.resolve()
    config.profile(profile)
    repository = find_repository(folder)
    commit = repository.base(base)
    changes = repository.changes_since(commit.commit)
    prefix = os.path.relpath(folder, repository.top)
    before_prefix = posixpath.dirname(
        changes.renames.get(posixpath.normpath(f"{prefix}/{FILE_NAME}"), f"{prefix}/{FILE_NAME}")
    )
    here = Path.cwd().resolve()
    new = Request(str(folder), str(repository.top), profile or "", with_store=True)
    with (
        process.start(new, str(here)) as describing,
        tempfile.TemporaryDirectory(prefix="penstock-base-") as scratch,
    ):
        top = Path(scratch).resolve() / "base"
        notes = repository.extract(commit.commit, top)
        before = _describe_base(top, before_prefix, repository, profile, here)
        after = process.described(describing)
    if after.error:
        raise ConfigError(after.error, path=str(config.path))
    names = _from_folder(changes, prefix, before_prefix)
    names = replace(names, modules=_modules_of(changed_packages(before, after)))
    pipelines = compare(before, after, names)
    aside = unlooked_at(names.changed - {FILE_NAME}, (before, after))
    shared = [f"in the base, {note}" for note in (*notes, *before.notes)]
    return ProjectChange(
        commit.name,
        commit.commit,
        repository.head(),
        changes.is_dirty,
        "" if prefix == "." else prefix,
        tuple(named_from_top(pipeline, prefix) for pipeline in pipelines),
        tuple(posixpath.normpath(posixpath.join(prefix, file)) for file in aside),
        tuple(filter(None, (commit.note, *shared, *after.notes))),
        before.error,
    )


def _describe_base(
    top: Path, prefix: str, repository: Repository, profile: str | None, here: Path
) -> ProjectDescription:
    folder = Path(os.path.normpath(top / prefix))
    if not (folder / FILE_NAME).is_file():
        return ProjectDescription(
            notes=(f"there is no {posixpath.normpath(f'{prefix}/{FILE_NAME}')}: all is new",)
        )
    place = top / here.relative_to(repository.top) if here.is_relative_to(repository.top) else here
    request = Request(str(folder), str(top), profile or "", in_place_of=str(repository.top))
    with process.start(request, str(place if place.is_dir() else folder)) as describing:
        return process.described(describing)


def _from_folder(changes: FileChanges, prefix: str, before_prefix: str) -> Files:
    """Return git's names of files, which count from the top, from the project's folder on.

    A file that has only moved with the project's folder has not changed.
    """
    renames = {
        os.path.relpath(new, prefix): os.path.relpath(old, before_prefix or ".")
        for new, old in changes.renames.items()
    }
    with_the_folder = {
        new
        for new in changes.moved
        if os.path.relpath(new, prefix)
        == os.path.relpath(changes.renames[new], before_prefix or ".")
    }
    as_they_were = with_the_folder | {changes.renames[new] for new in with_the_folder}
    changed = (os.path.relpath(path, prefix) for path in changes.changed - as_they_were)
    return Files(frozenset(changed), renames)


def _modules_of(packages: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the modules that packages bring, as far as they are installed."""
    found = {}
    for package in packages:
        try:
            distribution = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            continue
        named = (distribution.read_text("top_level.txt") or "").split()
        paths = [file.parts[0] for file in distribution.files or () if file.suffix == ".py"]
        found[package] = tuple(dict.fromkeys([*named, *(p.removesuffix(".py") for p in paths)]))
    return found


def describe_pipelines(
    config: Config, names: Iterable[str] = (), profile: str | None = None
) -> Mapping[str, PipelineDescription]:
    """Describe pipelines of a project as they are now, by default all, in a process of its own.

    Raises:
      ConfigError: the project cannot be read.
    """
    folder = config.folder.resolve()
    request = Request(str(folder), str(top_of(folder)), profile or "", only=tuple(names))
    with process.start(request, str(Path.cwd())) as describing:
        described = process.described(describing)
    if described.error:
        raise ConfigError(described.error, path=str(config.path) if config.path else None)
    return described.pipelines


def fingerprint_of(config: Config, pipeline: str) -> str:
    """Return the fingerprint of a registered pipeline as it is now; see `descriptions`.

    Raises:
      ConfigError: there is no such pipeline, or it does not compile.
    """
    described = describe_pipelines(config, [pipeline]).get(pipeline)
    if described is None:
        config.load_pipeline(pipeline)  # which says what is wrong with the name
        raise ConfigError(f"pipeline {pipeline!r} is none that {FILE_NAME} names")
    if described.error:
        raise ConfigError(f"pipeline {pipeline!r} does not compile: {described.error}")
    return described.fingerprint
