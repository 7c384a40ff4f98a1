"""What a change does to the pipelines, as Markdown for a comment on a pull request.

It begins with a marker that is not shown: whoever posts the comment finds the last one by it, and
updates that.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from penstock.operations.delivery.comparing import (
    UNKNOWN,
    Kind,
    NodeChange,
    PipelineChange,
    ProjectChange,
)

# GitHub takes 65,536 characters, and GitLab and Bitbucket no fewer than half of that.
_LONGEST = 30_000
_FILES_TOLD = 20
_AS_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "\\`*_[]|~@"}
_MARKS = {
    Kind.ADDED: "➕ added",
    Kind.REMOVED: "➖ removed",
    Kind.CHANGED: "✏️ changed",
    Kind.FOLLOWS: "➡️ follows",
    Kind.SAME: "as before",
    Kind.UNKNOWN: "❓ unknown",
}


def marker(folder: str) -> str:
    """Return the line by which the comment about a project's folder is found again."""
    return f"<!-- penstock ci plan: {folder.replace('--', '- -') or '.'} -->"


def comment_on(change: ProjectChange) -> str:
    """Return the comment about a change; what would make it too long is left out, and told."""
    lines: list[str] = []
    length = 0
    for line in _lines(change):
        length += len(line) + 1
        if length > _LONGEST:
            opened = sum(line.startswith("<details>") for line in lines)
            closed = sum(line == "</details>" for line in lines)
            lines += ["", *["</details>"] * (opened - closed)]
            lines.append(f"… and more: `penstock ci plan --base {change.base_name}` has it all.")
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _lines(change: ProjectChange) -> Iterator[str]:
    yield marker(change.folder)
    of = f" in {_code(change.folder)}" if change.folder else ""
    yield f"### Pipelines{of}: {_heading(change)}"
    yield ""
    side = _code(change.commit[:10]) if change.commit else "no commit"
    side += " and what is not committed" if change.is_dirty else ""
    yield f"{_code(change.base_name)} ({_code(change.base[:10])}) → {side}"
    for note in change.notes:
        yield ""
        yield f"> {_text(note)}"
    if change.error_before:
        yield ""
        yield f"> ⚠️ The base cannot be read: {_text(change.error_before)}"
    changed = [pipeline for pipeline in change.pipelines if pipeline.kind is not Kind.SAME]
    for pipeline in changed:
        yield ""
        yield from _pipeline(pipeline)
    same = [_code(pipeline.name) for pipeline in change.pipelines if pipeline.kind is Kind.SAME]
    if same:
        yield ""
        yield f"Nothing changes for {', '.join(same)}."
    if change.elsewhere:
        more = len(change.elsewhere) - _FILES_TOLD
        told = ", ".join(map(_code, change.elsewhere[:_FILES_TOLD]))
        yield ""
        yield f"Changed, and looked at by no pipeline: {told}" + (
            f" and {more} more" if more > 0 else ""
        )


def _heading(change: ProjectChange) -> str:
    changed = sum(pipeline.kind is not Kind.SAME for pipeline in change.pipelines)
    return f"{changed} of {len(change.pipelines)} change" if changed else "nothing changes"


def _pipeline(pipeline: PipelineChange) -> Iterator[str]:
    yield f"#### {_text(pipeline.name)}: {_MARKS[pipeline.kind]}{_duration(pipeline)}"
    if pipeline.error:
        yield ""
        yield f"❌ It does not compile: {_text(pipeline.error)}"
    elif pipeline.error_before:
        yield ""
        yield f"⚠️ In the base it does not compile: {_text(pipeline.error_before)}"
    if pipeline.reasons:
        yield ""
        for reason in pipeline.reasons:
            yield f"- {_code(str(reason))}"
    if pipeline.kind is Kind.REMOVED:
        return
    told = [node for node in pipeline.nodes if node.kind is not Kind.SAME]
    if told:
        yield ""
        yield "| node | | what becomes of it | why |"
        yield "|---|---|---|---|"
        for node in told:
            yield _row(node)
    rest = pipeline.of_kind(Kind.SAME)
    if rest:
        yield ""
        yield f"<details><summary>{len(rest)} nodes are as before</summary>"
        yield ""
        for node in rest:
            plan = f": {_text('; '.join(node.plan))}" if node.plan else ""
            yield f"- {_code(node.node_id)} {node.verdict}{plan}"
        yield ""
        yield "</details>"
    if pipeline.unforeseen and pipeline.nodes:
        yield ""
        yield f"What is cached is unknown: {_text(pipeline.unforeseen)}."


def _row(node: NodeChange) -> str:
    reasons = [_code(str(reason)) for reason in node.reasons]
    reasons += [f"follows {', '.join(map(_code, node.after))}"] if node.after else []
    reasons += [f"changes are not noticed: {_text(code)}" for code in node.unseen]
    verdict = node.verdict
    if verdict == UNKNOWN:
        verdict = "runs again" if node.runs_again else "unknown"
    if node.kind is Kind.REMOVED:
        verdict = ""
    took = f", {node.seconds:.1f} s" if node.seconds is not None and node.runs_again else ""
    why = "<br>".join(reasons)
    return f"| {_code(node.node_id)} | {_MARKS[node.kind]} | {verdict}{took} | {why} |"


def _duration(pipeline: PipelineChange) -> str:
    if pipeline.seconds is None:
        return ""
    without = f", not counting {', '.join(pipeline.untimed)}" if pipeline.untimed else ""
    return f", about {pipeline.seconds:.0f} s of work{without}"


def _text(text: str) -> str:
    """Return a text that says what it says, and neither mentions anybody nor formats anything."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    for character in ("\\", "`", "*", "_", "[", "]", "|", "#", "~"):
        escaped = escaped.replace(character, f"\\{character}")
    return escaped.replace("@", "@\u200b")


def _code(text: str) -> str:
    """Return a text as code, in HTML: within that neither backticks nor pipes end anything."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return f"<code>{escaped.translate(_AS_ENTITIES)}</code>"
