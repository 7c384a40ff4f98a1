"""What a change in git does to the pipelines of a project."""

from __future__ import annotations

from collections import Counter

import click

from penstock.operations.delivery.comparing import (
    UNKNOWN,
    Kind,
    NodeChange,
    PipelineChange,
    ProjectChange,
    as_json,
)
from penstock.operations.delivery.planning import plan_change
from penstock.report.wording import counted
from penstock.surfaces.cli.ci_comment import comment_on
from penstock.surfaces.cli.options import (
    RUN_FAILED,
    column,
    json_option,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, echo_text, secho, unread_output

_MARKS = {
    Kind.ADDED: ("+", "green"),
    Kind.REMOVED: ("-", "red"),
    Kind.CHANGED: ("~", "yellow"),
    Kind.FOLLOWS: ("→", "cyan"),
    Kind.SAME: ("=", None),
    Kind.UNKNOWN: ("?", "yellow"),
}
_FILES_TOLD = 10


@click.command()
@click.option(
    "--base",
    metavar="REF",
    required=True,
    help="The branch, tag or commit to compare with; of a branch, where this one has left it.",
)
@profile_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 where a pipeline changes.")
@json_option
@click.option("--markdown", is_flag=True, help="Write a comment for a pull request.")
@click.pass_context
def plan(
    context: click.Context,
    base: str,
    profile_name: str | None,
    exit_code: bool,
    as_json: bool,
    markdown: bool,
) -> None:
    """Say what a change does to every pipeline, node by node, and why.

    The working tree, with what is not committed, is compared with a commit, whose own code is
    compiled in a folder and a process of its own; the repository stays as it is. With the store of
    the profile, what would run again and how long it took is told too. The exit code is 1 where a
    pipeline does not compile.

    \b
    Examples:
      penstock ci plan --base origin/main
      penstock ci plan --base origin/main --markdown > comment.md
    """
    if as_json and markdown:
        raise click.UsageError("--json and --markdown exclude each other.", context)
    change = plan_change(project_config(context), base, profile_name)
    with unread_output():
        if as_json:
            echo_json(_as_json(change))
        elif markdown:
            echo_text(comment_on(change))
        else:
            _print(change)
    if change.is_broken or (exit_code and change.changes):
        context.exit(RUN_FAILED)


_as_json = as_json


def _print(change: ProjectChange) -> None:
    side = change.commit[:10] or "no commit"
    side = f"{side} and what is not committed" if change.is_dirty else side
    echo(f"{change.base_name} ({change.base[:10]}) → {side}")
    for note in change.notes:
        secho(f"note: {note}", fg="yellow")
    if change.error_before:
        secho(f"the base cannot be read: {change.error_before}", fg="yellow")
    for pipeline in change.pipelines:
        echo()
        _print_pipeline(pipeline)
    if change.elsewhere:
        more = len(change.elsewhere) - _FILES_TOLD
        told = ", ".join(change.elsewhere[:_FILES_TOLD]) + (f" and {more} more" if more > 0 else "")
        echo()
        echo(f"changed, and looked at by no pipeline: {told}")


def _print_pipeline(pipeline: PipelineChange) -> None:
    mark, color = _MARKS[pipeline.kind]
    secho(f"{mark} {pipeline.name}", fg=color, bold=True, nl=False)
    echo(f"  {summary(pipeline)}")
    for reason in pipeline.reasons:
        echo(f"    {reason}")
    if pipeline.error:
        secho(f"    it does not compile: {pipeline.error}", fg="red")
    elif pipeline.error_before and pipeline.kind is Kind.UNKNOWN:
        secho(f"    in the base: {pipeline.error_before}", fg="yellow")
    if pipeline.kind in (Kind.SAME, Kind.REMOVED):
        return
    names = column(node.node_id for node in pipeline.nodes)
    for node, name in zip(pipeline.nodes, names, strict=True):
        _print_node(node, name)
    if pipeline.unforeseen and pipeline.nodes:
        echo(f"    what is cached is unknown: {pipeline.unforeseen}")


def _print_node(node: NodeChange, name: str) -> None:
    mark, color = _MARKS[node.kind]
    first, *more = [*map(str, node.reasons), *_following(node)] or [""]
    head = f"  {mark} {name}  {outlook(node):<16}"
    secho(head if first else head.rstrip(), fg=color, nl=False)
    echo(f"  {first}".rstrip())
    for reason in more:
        echo(f"{'':<{len(head)}}  {reason}")
    if node.kind is Kind.SAME and node.verdict in ("runs", "fails"):
        for reason in node.plan:
            echo(f"{'':<{len(head)}}  {reason}")
    for code in node.unseen if node.kind is not Kind.REMOVED else ():
        echo(f"{'':<{len(head)}}  changes are not noticed: {code}")


def _following(node: NodeChange) -> list[str]:
    return [f"follows {', '.join(node.after)}"] if node.after else []


def outlook(node: NodeChange) -> str:
    """Return what would become of a node, and how long that took before."""
    if node.kind is Kind.REMOVED:
        return ""
    verdict = node.verdict
    if verdict == UNKNOWN:
        verdict = "runs again" if node.runs_again else "unknown"
    took = f", {node.seconds:.1f} s" if node.seconds is not None and node.runs_again else ""
    return f"{verdict}{took}"


def summary(pipeline: PipelineChange) -> str:
    """Return in a line what a change does to a pipeline."""
    if pipeline.kind is Kind.SAME:
        return "nothing changes"
    if pipeline.kind in (Kind.ADDED, Kind.REMOVED):
        return f"{pipeline.kind.value}, {counted(len(pipeline.nodes), 'node')}"
    if pipeline.kind is Kind.UNKNOWN:
        return "cannot be compared"
    counts = Counter(node.kind for node in pipeline.nodes)
    words = (
        (Kind.ADDED, "added"),
        (Kind.REMOVED, "removed"),
        (Kind.CHANGED, "changed"),
        (Kind.FOLLOWS, "following"),
        (Kind.SAME, "as before"),
    )
    told = ", ".join(f"{counts[kind]} {word}" for kind, word in words if counts[kind])
    return told + duration(pipeline)


def duration(pipeline: PipelineChange) -> str:
    """Return how long what runs again took before, as far as that is known."""
    if pipeline.seconds is None:
        return ""
    without = f", not counting {', '.join(pipeline.untimed)}" if pipeline.untimed else ""
    return f"; about {pipeline.seconds:.0f} s of work{without}"
