"""The registry of models: looking at versions, and moving aliases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ParameterError
from penstock.surfaces.cli.author import decision_options
from penstock.surfaces.cli.completion import RUN
from penstock.surfaces.cli.options import column, json_option, open_store, profile_option
from penstock.surfaces.cli.printing import echo, echo_json, secho

if TYPE_CHECKING:
    from penstock.metadata.registered import AliasMove, RegisteredModel, Version

_ALIAS = "champion"


@click.group()
def model() -> None:
    """Registered models: their versions, and the aliases that stand for them.

    A version is named NAME@NUMBER or NAME@ALIAS.

    \b
    Examples:
      penstock model show flights
      penstock model promote flights@3 --why "better at short distances"
    """


@model.command("list")
@profile_option
@json_option
@click.pass_context
def list_models(context: click.Context, profile_name: str | None, as_json: bool) -> None:
    """List the registered models.

    \b
    Example:
      penstock model list
    """
    from penstock import registry

    with open_store(context, profile_name) as metadata:
        models = registry.read_models(metadata.store)
    from penstock.report.wording import counted

    if as_json:
        echo_json([_model_as_json(found) for found in models])
    elif not models:
        echo("no model is registered yet. Register one: penstock model register RUN NAME.")
    else:
        names = column(found.name for found in models)
        counts = column(counted(len(found.versions), "version") for found in models)
        for name, count, found in zip(names, counts, models, strict=True):
            echo(f"{name}  {count}  {_aliases(found.aliases)}")


@model.command()
@click.argument("reference", metavar="NAME[@VERSION]")
@profile_option
@json_option
@click.pass_context
def show(context: click.Context, reference: str, profile_name: str | None, as_json: bool) -> None:
    """Show a model, its versions and the history of its aliases; or one version.

    The files of one version are looked at: the exit code is 2 where they may not be served.

    \b
    Examples:
      penstock model show flights
      penstock model show flights@champion
    """
    from penstock import registry

    name, _, version_name = reference.partition("@")
    with open_store(context, profile_name) as metadata:
        found = registry.read_model(metadata.store, name)
        if not version_name:
            _show_model(found, as_json)
            return
        version = found.version(version_name)
        if as_json:
            aliases = found.aliases_of(version.number)
            echo_json(_version_as_json(version, aliases))
        else:
            _print_version(version, found.aliases_of(version.number))
        registry.check(metadata.store, version)


@model.command()
@click.argument("before", metavar="NAME@VERSION")
@click.argument("after", metavar="[NAME@]VERSION")
@profile_option
@json_option
@click.pass_context
def diff(
    context: click.Context, before: str, after: str, profile_name: str | None, as_json: bool
) -> None:
    """Show what two versions differ in: signature, data, schema, code, parameters, metrics.

    \b
    Example:
      penstock model diff flights@champion challenger
    """
    from penstock import registry

    name, number = _version_reference(before)
    other_name, at, other_number = after.partition("@")
    if not at:
        other_name, other_number = name, after
    with open_store(context, profile_name) as metadata:
        one = registry.read_model(metadata.store, name).version(number)
        other = registry.read_model(metadata.store, other_name).version(other_number)
    found = registry.difference(one, other)
    if as_json:
        content = [asdict(d) for d in found]
        versions = {"before": one.name, "after": other.name}
        echo_json({**versions, "differences": content})
        return
    from penstock.report.wording import recorded

    secho(f"{one.name} and {other.name}", bold=True)
    for kind, name, d in zip(
        column(d.kind for d in found), column(d.name for d in found), found, strict=True
    ):
        echo(f"  {kind}  {name}  {recorded(d.before)} -> {recorded(d.after)}")
    if not found:
        echo("  nothing that is recorded of them differs")


@model.command()
@click.argument("run_id", metavar="RUN", type=RUN)
@click.argument("name")
@click.option("--node", "node_id", metavar="NODE", help="The node whose model is meant.")
@click.option("--alias", help="An alias that is to stand for the new version.")
@click.option("--description", default="", help="A text that is kept with the version.")
@decision_options
@profile_option
@json_option
@click.pass_context
def register(
    context: click.Context,
    run_id: str,
    name: str,
    node_id: str | None,
    alias: str | None,
    description: str,
    who: str,
    why: str,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Register the model that a RUN has made as the next version of NAME.

    \b
    Example:
      penstock model register latest flights --alias challenger
    """
    from penstock import registry
    from penstock.registry.facts import model_of_run

    with open_store(context, profile_name) as metadata:
        store = metadata.store
        artifact_id = model_of_run(store, run_id, node_id)
        version = registry.register(store, name, artifact_id, who=who, description=description)
        if alias:
            registry.move_alias(store, name, alias, version.number, who=who, why=why)
        aliases = registry.read_model(store, name).aliases_of(version.number)
    if as_json:
        echo_json(_version_as_json(version, aliases))
    else:
        echo(f"{version.name} is registered{_known_as(aliases)}")


@model.command()
@click.argument("reference", metavar="NAME[@VERSION]")
@click.argument("alias")
@click.option("--remove", is_flag=True, help="Let the alias stand for nothing.")
@click.option(
    "--if-at",
    "seen",
    metavar="NUMBER|none",
    help="Only if it stands for this version; by default the one that it stands for now.",
)
@decision_options
@profile_option
@json_option
@click.pass_context
def alias(
    context: click.Context,
    reference: str,
    alias: str,
    remove: bool,
    seen: str | None,
    who: str,
    why: str,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Let ALIAS stand for a version. Of two who move it at once one is refused, and told why.

    \b
    Examples:
      penstock model alias flights@3 shadow
      penstock model alias flights shadow --remove
    """
    from penstock import registry

    expected = _seen(seen)
    name, _, version = reference.partition("@")
    if remove == bool(version):
        raise ParameterError(
            f"expected NAME@VERSION, or NAME with --remove; got {reference!r}"
            + (" with --remove" if remove else "")
        )
    with open_store(context, profile_name) as metadata:
        if remove:
            move = registry.remove_alias(
                metadata.store, name, alias, who=who, why=why, seen=expected
            )
        else:
            move = registry.move_alias(
                metadata.store, name, alias, version, who=who, why=why, seen=expected
            )
    _tell_move(name, move, as_json)


@model.command()
@click.argument("reference", metavar="NAME@VERSION")
@click.option("--alias", default=_ALIAS, show_default=True, help="The alias to move.")
@click.option("--if-at", "seen", metavar="NUMBER|none", help="Only if it stands for this version.")
@decision_options
@profile_option
@json_option
@click.pass_context
def promote(
    context: click.Context,
    reference: str,
    alias: str,
    seen: str | None,
    who: str,
    why: str,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Make a version that was blessed, and whose files are as they were, the champion.

    \b
    Example:
      penstock model promote flights@challenger
    """
    from penstock import registry

    name, version = _version_reference(reference)
    with open_store(context, profile_name) as metadata:
        move = registry.promote(
            metadata.store, name, version, alias=alias, who=who, why=why, seen=_seen(seen)
        )
    _tell_move(name, move, as_json)


@model.command()
@click.argument("name")
@click.option("--alias", default=_ALIAS, show_default=True, help="The alias to move back.")
@click.option("--to", metavar="NUMBER", help="The version; by default the one before.")
@decision_options
@profile_option
@json_option
@click.pass_context
def rollback(
    context: click.Context,
    name: str,
    alias: str,
    to: str | None,
    who: str,
    why: str,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Let an alias stand again for the version before.

    \b
    Example:
      penstock model rollback flights --why "wrong at airports that are new"
    """
    from penstock import registry

    with open_store(context, profile_name) as metadata:
        move = registry.rollback(metadata.store, name, alias=alias, to=to, who=who, why=why)
    _tell_move(name, move, as_json)


@model.command()
@click.argument("reference", metavar="NAME@VERSION")
@decision_options
@profile_option
@json_option
@click.pass_context
def archive(
    context: click.Context,
    reference: str,
    who: str,
    why: str,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Put a version away that no alias stands for: `penstock gc` may remove its files.

    \b
    Example:
      penstock model archive flights@1
    """
    from penstock import registry

    name, version = _version_reference(reference)
    with open_store(context, profile_name) as metadata:
        archived = registry.archive(metadata.store, name, version, who=who, why=why)
    _tell_version(archived, "is archived", as_json)


@model.command()
@click.argument("reference", metavar="NAME@VERSION")
@decision_options
@profile_option
@json_option
@click.pass_context
def restore(
    context: click.Context,
    reference: str,
    who: str,
    why: str,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Bring back a version that was archived, if its files are still there.

    \b
    Example:
      penstock model restore flights@1
    """
    from penstock import registry

    name, version = _version_reference(reference)
    with open_store(context, profile_name) as metadata:
        restored = registry.restore(metadata.store, name, version, who=who, why=why)
    _tell_version(restored, "can be given out again", as_json)


def _tell_version(version: Version, what: str, as_json: bool) -> None:
    if as_json:
        echo_json(_version_as_json(version, []))
    else:
        echo(f"{version.name} {what}")


def _version_reference(text: str) -> tuple[str, str]:
    name, _, version = text.partition("@")
    if not version:
        raise ParameterError(
            f"expected NAME@VERSION or NAME@ALIAS, got {text!r}",
            hint=f"penstock model show {text} lists its versions.",
        )
    return name, version


def _seen(text: str | None) -> Any:
    from penstock import registry

    if text is None:
        return registry.UNSEEN
    if text == "none":
        return None
    from penstock.metadata.reading import number_of

    number = number_of(text)
    if number is None:
        raise ParameterError(f"--if-at: expected the number of a version, or none; got {text!r}")
    return number


def _tell_move(name: str, move: AliasMove, as_json: bool) -> None:
    if as_json:
        echo_json({"model": name, **_move_as_json(move)})
        return
    before = f"; it was {name}@{move.before}" if move.before is not None else ""
    now = f"{name}@{move.to}" if move.to is not None else "nothing"
    echo(f"{move.alias} of {name} is {now}{before}")


def _show_model(found: RegisteredModel, as_json: bool) -> None:
    if as_json:
        echo_json(_model_as_json(found))
        return
    from penstock.report.wording import when

    secho(found.name, bold=True)
    versions = found.versions[::-1]
    for number, aliases, metrics, version in zip(
        column(str(version.number) for version in versions),
        column(", ".join(found.aliases_of(version.number)) for version in versions),
        column(_metrics(version) for version in versions),
        versions,
        strict=True,
    ):
        state = _state(version)
        echo(f"  {number}  ", nl=False)
        secho(aliases, fg="green", nl=False)
        echo(f"  {metrics}  {state}  {when(version.registered)} by {version.who}")
    if found.moves:
        secho("moves", bold=True)
    for move in found.moves[::-1]:
        to = str(move.to) if move.to is not None else "none"
        before = str(move.before) if move.before is not None else "none"
        who = move.who + (f": {move.why}" if move.why else "")
        echo(f"  {when(move.moved)}  {move.alias}  {before} -> {to}  {move.kind} by {who}")


def _print_version(version: Version, aliases: list[str]) -> None:
    from penstock.report.wording import when

    facts = version.facts
    secho(f"{version.name}{_known_as(aliases)}", bold=True)
    data = ", ".join(
        f"{d['node_id']} span {d['span']}" if "span" in d else d["node_id"]
        for d in facts.get("data", ())
    )
    signature = facts.get("signature") or {}
    lines = {
        "state": _state(version),
        "registered": f"{when(version.registered)} by {version.who}",
        "description": facts.get("description", ""),
        "run": f"{version.run_id} ({facts.get('pipeline')}, {facts.get('node_id')})"
        if version.run_id
        else "",
        "metrics": _metrics(version),
        "data": data,
        "parameters": ", ".join(f"{k}={v}" for k, v in facts.get("parameters", {}).items()),
        "flavor": facts.get("flavor") or "",
        "image": facts.get("image") or "",
        "takes": _columns(signature.get("inputs", ())),
        "gives": _columns(signature.get("outputs", ())),
        "files": version.uri,
        "digest": version.digest,
    }
    for title, text in lines.items():
        if text:
            echo(f"  {title:<12}{text}")


def _columns(columns: Any) -> str:
    return ", ".join(f"{c['name']} ({c.get('type')})" for c in columns)


def _state(version: Version) -> str:
    if version.is_archived:
        return "archived"
    return {True: "blessed", False: "not blessed", None: "no blessing"}[version.is_blessed]


def _metrics(version: Version) -> str:
    from penstock.report.wording import metric

    return ", ".join(f"{m.name} {metric(m.name, m.value)}" for m in version.metrics[:3])


def _aliases(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} {number}" for alias, number in aliases.items())


def _known_as(aliases: list[str]) -> str:
    return f" ({', '.join(aliases)})" if aliases else ""


def _model_as_json(found: RegisteredModel) -> dict[str, Any]:
    return {
        "name": found.name,
        "aliases": found.aliases,
        "versions": [_version_as_json(v, found.aliases_of(v.number)) for v in found.versions],
        "moves": [_move_as_json(move) for move in found.moves],
    }


def _version_as_json(version: Version, aliases: list[str]) -> dict[str, Any]:
    return {
        "model": version.model,
        "version": version.number,
        "aliases": aliases,
        "artifact_id": version.artifact_id,
        "uri": version.uri,
        "digest": version.digest,
        "who": version.who,
        "registered": version.registered.isoformat(),
        "archived": version.is_archived,
        **version.facts,
    }


def _move_as_json(move: AliasMove) -> dict[str, Any]:
    return {**asdict(move), "moved": move.moved.isoformat()}
