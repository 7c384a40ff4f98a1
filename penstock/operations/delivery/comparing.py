"""What differs between two descriptions of a project, node by node, and why: a pure function."""

from __future__ import annotations

import difflib
import enum
import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.execution.values import value_differences
from penstock.operations.delivery.descriptions import (
    Foreseen,
    InputFile,
    NodeDescription,
    PipelineDescription,
    ProjectDescription,
    downstream,
)

_LINES_TOLD = 8
UNKNOWN = "unknown"


class Kind(enum.Enum):
    """What a change does to a node or to a pipeline.

    FOLLOWS is for nodes that are as they were and take what others make differently. UNKNOWN is
    for pipelines of which one side cannot be read.
    """

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    FOLLOWS = "follows"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reason:
    """Why something counts as changed: `what` kind of thing, which one, and from what to what.

    `what` is code, parameter, file, data, definition, option, image, lock or settings. `entry` is a
    package or a key in the file `name`; `line` counts from 1 in the new file, or in the old one for
    lines that are there no more. `alters` says whether a node may make something else by it.
    """

    what: str
    name: str
    before: str = ""
    after: str = ""
    line: int | None = None
    note: str = ""
    alters: bool = True
    entry: str = ""

    @property
    def is_about_a_file(self) -> bool:
        """Whether `name` is one of the repository."""
        if self.what == "code":
            return self.name.endswith(".py")
        return self.what in ("file", "data", "image", "lock")

    def __str__(self) -> str:
        if self.what == "code" and self.before:
            return f"code {self.before} → {self.after} ({self.note})"
        place = self.name if self.line is None else f"{self.name}:{self.line}"
        place = f"{place} {self.entry}" if self.entry else place
        change = f" {self.before or '(nothing)'} → {self.after or '(nothing)'}"
        if not self.before and not self.after:
            change = ""
        note = f" {self.note}" if self.note and not change else ""
        note = f" ({self.note})" if self.note and change else note
        colon = ":" if change and self.what in ("file", "image", "lock") else ""
        return f"{self.what} {place}{colon}{change}{note}"


@dataclass(frozen=True)
class NodeChange:
    """What a change does to a node.

    `after` are the changed nodes that it follows. `verdict` is what a plan says would become of
    it, `plan` why, and `seconds` what it took before; "unknown" and None without a store.
    """

    node_id: str
    kind: Kind
    reasons: tuple[Reason, ...] = ()
    after: tuple[str, ...] = ()
    verdict: str = UNKNOWN
    plan: tuple[str, ...] = ()
    seconds: float | None = None
    unseen: tuple[str, ...] = ()

    @property
    def runs_again(self) -> bool:
        """Whether it runs again, as far as anybody knows."""
        if self.verdict != UNKNOWN:
            return self.verdict in ("runs", "depends")
        alters = any(reason.alters for reason in self.reasons)
        return self.kind in (Kind.ADDED, Kind.FOLLOWS) or (self.kind is Kind.CHANGED and alters)


@dataclass(frozen=True)
class PipelineChange:
    """What a change does to a pipeline; `nodes` are in its order, removed ones last.

    `reasons` are those that are about no single node: image, lock, where it is. `error` says why
    it cannot be read now, `error_before` why it could not be then. `unforeseen` says why the store
    was not asked.
    """

    name: str
    kind: Kind
    nodes: tuple[NodeChange, ...] = ()
    reasons: tuple[Reason, ...] = ()
    fingerprint_before: str = ""
    fingerprint: str = ""
    error: str = ""
    error_before: str = ""
    unforeseen: str = ""

    def of_kind(self, *kinds: Kind) -> list[NodeChange]:
        """Return the nodes of some kinds."""
        return [node for node in self.nodes if node.kind in kinds]

    @property
    def seconds(self) -> float | None:
        """What all that runs again took before; None where it is known of none."""
        known = [n.seconds for n in self.nodes if n.runs_again and n.seconds is not None]
        return sum(known) if known else None

    @property
    def untimed(self) -> list[str]:
        """The nodes that run again, and of which nobody knows how long they take."""
        return [n.node_id for n in self.nodes if n.runs_again and n.seconds is None]


@dataclass(frozen=True)
class ProjectChange:
    """What a change does to a project.

    `base` and `commit` are the two sides' commits, `is_dirty` says that the new one is the working
    tree and differs from its commit. `elsewhere` are changed files that no pipeline looks at.
    """

    base_name: str
    base: str
    commit: str
    is_dirty: bool
    folder: str
    pipelines: tuple[PipelineChange, ...] = ()
    elsewhere: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error_before: str = ""

    @property
    def changes(self) -> bool:
        """Whether any pipeline is not what it was, or nobody can say."""
        return any(pipeline.kind is not Kind.SAME for pipeline in self.pipelines)

    @property
    def is_broken(self) -> bool:
        """Whether a pipeline does not compile as it is now."""
        return any(pipeline.error for pipeline in self.pipelines)


@dataclass(frozen=True)
class Files:
    """What git says of files, by their names from the project's folder on.

    `renames` has earlier names by names, `changed` the names of all that differ. `modules` has the
    modules that a package brings, for those whose entry in a lock has changed.
    """

    changed: frozenset[str] = frozenset()
    renames: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def compare(
    before: ProjectDescription, after: ProjectDescription, files: Files
) -> tuple[PipelineChange, ...]:
    """Return what became of each pipeline of two descriptions of a project, sorted by name."""
    around = _Around(before, after, files, tuple(_input_reasons(before, after)))
    names = sorted({*before.pipelines, *after.pipelines})
    return tuple(_pipeline_change(name, around) for name in names)


@dataclass(frozen=True)
class _Around:
    """Both sides, and what has changed around all nodes: `inputs` are reasons of image and lock."""

    before: ProjectDescription
    after: ProjectDescription
    files: Files
    inputs: tuple[Reason, ...]


def _pipeline_change(name: str, around: _Around) -> PipelineChange:
    then, now = around.before.pipelines.get(name), around.after.pipelines.get(name)
    if now is None:
        if around.after.error:
            return PipelineChange(name, Kind.UNKNOWN, error=around.after.error)
        gone = [NodeChange(node_id, Kind.REMOVED) for node_id in (then.nodes if then else ())]
        return PipelineChange(name, Kind.REMOVED, tuple(gone))
    told = PipelineChange(
        name,
        Kind.UNKNOWN,
        fingerprint=now.fingerprint,
        fingerprint_before=then.fingerprint if then else "",
        error=now.error,
        error_before=around.before.error or (then.error if then else ""),
        unforeseen=now.unforeseen,
    )
    if now.error:
        return told
    if told.error_before:
        nodes = [_foreseen(NodeChange(n, Kind.UNKNOWN), now) for n in now.nodes]
        return replace(told, nodes=tuple(nodes))
    if then is None:
        nodes = [_foreseen(NodeChange(n, Kind.ADDED), now) for n in now.nodes]
        return replace(told, kind=Kind.ADDED, nodes=tuple(nodes))
    nodes = _node_changes(then, now, around)
    reasons = (*_pipeline_reasons(then, now), *around.inputs)
    same = not reasons and all(node.kind is Kind.SAME for node in nodes)
    kind = Kind.SAME if same else Kind.CHANGED
    return replace(told, kind=kind, nodes=tuple(nodes), reasons=reasons)


def _pipeline_reasons(then: PipelineDescription, now: PipelineDescription) -> Iterator[Reason]:
    if then.name != now.name:
        yield Reason("definition", "name", then.name, now.name)
    if then.place != now.place:
        yield Reason("definition", "place in penstock.toml", then.place, now.place, alters=False)
    for path, old, new in value_differences("profiles", then.settings, now.settings):
        yield Reason("settings", path, old, new)


def _node_changes(
    then: PipelineDescription, now: PipelineDescription, around: _Around
) -> list[NodeChange]:
    reasons = {
        name: tuple(_node_reasons(then.nodes[name], node, around))
        for name, node in now.nodes.items()
        if name in then.nodes
    }
    added = [name for name in now.nodes if name not in then.nodes]
    altered = [*added, *(n for n in reasons if any(reason.alters for reason in reasons[n]))]
    following = downstream({n: node.takes for n, node in now.nodes.items()}, altered)
    changes = []
    for name in now.nodes:
        after = tuple(following.get(name, ()))
        if name in added:
            change = NodeChange(name, Kind.ADDED)
        elif reasons[name]:
            change = NodeChange(name, Kind.CHANGED, reasons[name], after)
        else:
            change = NodeChange(name, Kind.FOLLOWS if after else Kind.SAME, (), after)
        changes.append(_foreseen(change, now))
    gone = [name for name in then.nodes if name not in now.nodes]
    return [*changes, *(NodeChange(name, Kind.REMOVED) for name in gone)]


def _foreseen(change: NodeChange, now: PipelineDescription) -> NodeChange:
    change = replace(change, unseen=now.nodes[change.node_id].unseen)
    foreseen: Foreseen | None = now.foreseen.get(change.node_id)
    if foreseen is None:
        return change
    return replace(
        change, verdict=foreseen.verdict, plan=foreseen.reasons, seconds=foreseen.seconds
    )


def _node_reasons(then: NodeDescription, now: NodeDescription, around: _Around) -> Iterator[Reason]:
    """Yield why a node is not what it was: code, parameters, files, data, wiring, packages."""
    yield from _code_reasons(then.code, now.code, around.files.renames)
    names = sorted({*then.parameters, *now.parameters})
    for name in names:
        before, after = then.parameters.get(name), now.parameters.get(name)
        for path, old, new in value_differences(name, before, after):
            yield Reason("parameter", path, old, new)
    yield from _file_reasons(then, now, around)
    yield from _data_reasons(then, now, around.files.changed)
    for path, old, new in value_differences("", then.definition, now.definition):
        yield Reason("definition", path.lstrip("."), old, new)
    for path, old, new in value_differences("", then.options, now.options):
        is_off = path == ".cache" and now.options.get("cache") == "off"
        yield Reason("option", path.lstrip("."), old, new, alters=is_off)
    yield from _package_reasons(now, around)


def _code_reasons(
    then: Mapping[str, str], now: Mapping[str, str], renames: Mapping[str, str]
) -> Iterator[Reason]:
    """Say which files of code differ; one that git, or its content, knows by another name is it."""
    gone, new = set(then) - set(now), set(now) - set(then)
    for file in sorted(new):
        same = sorted(old for old in gone if then[old] == now[file])
        old = renames.get(file, same[0] if same else "")
        if old in gone:
            gone.discard(old)
            note = "renamed" if then[old] == now[file] else "renamed and changed"
            yield Reason("code", file, old, file, note=note)
        else:
            yield Reason("code", file, note="is used now")
    for file in sorted(set(now) & set(then)):
        if now[file] != then[file]:
            yield Reason("code", file, note="changed")
    for file in sorted(gone):
        yield Reason("code", file, note="is used no more")


def _file_reasons(then: NodeDescription, now: NodeDescription, around: _Around) -> Iterator[Reason]:
    """Say which lines differ in the files that parameters name."""
    old_names = {file: around.files.renames.get(file, file) for file in now.files}
    if len(now.files) == len(then.files) == 1:
        old_names = dict(zip(now.files, then.files, strict=True))
    for file, digest in sorted(now.files.items()):
        old = old_names[file]
        if old not in then.files:
            yield Reason("file", file, note="is read now")
        elif then.files[old] != digest:
            before, after = around.before.texts.get(old), around.after.texts.get(file)
            if before is None or after is None:
                yield Reason("file", file, note="changed")
            else:
                yield from _line_reasons(
                    "file", file, before.splitlines(), after.splitlines(), around_them=True
                )
    for file in sorted(set(then.files) - set(old_names.values())):
        yield Reason("file", file, note="is read no more")


def _line_reasons(
    what: str, file: str, before: list[str], after: list[str], *, around_them: bool = False
) -> Iterator[Reason]:
    """Yield a reason for each line that differs, up to a number that somebody still reads.

    With `around_them` a line of a schema is told with the block that it is in.
    """
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    found: list[Reason] = []
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        old = [line for line in before[i:i_end] if line.strip()]
        new = [(n, line) for n, line in enumerate(after[j:j_end], j + 1) if line.strip()]
        if len(old) == len(new):
            found += [
                _line(what, file, n, a, b, _block(after, n) if around_them else "")
                for a, (n, b) in zip(old, new, strict=True)
                if a.split() != b.split()
            ]
        else:
            block = _block(after, j + 1) if around_them else ""
            found += [_line(what, file, i + 1, line, "", block) for line in old]
            found += [_line(what, file, n, "", line, block) for n, line in new]
    yield from found[:_LINES_TOLD]
    if len(found) > _LINES_TOLD:
        yield Reason(what, file, note=f"and {len(found) - _LINES_TOLD} more lines")


def _line(what: str, file: str, line: int, before: str, after: str, block: str) -> Reason:
    return Reason(what, file, before.strip(), after.strip(), line, block)


def _block(lines: list[str], line: int) -> str:
    """Return the name in the block of text format that a line stands in: of a feature, a domain."""
    depth = 0
    for index in range(min(line, len(lines)) - 1, -1, -1):
        text = lines[index].strip()
        if index != line - 1:
            depth += text.count("}") - text.count("{")
        if depth < 0:
            kind = text.rstrip("{ :")
            inner = lines[index + 1 : index + 12]
            named = [t.partition(":")[2].strip() for t in inner if t.strip().startswith("name:")]
            outer = _block(lines, index + 1) if not named else ""
            return f"{kind} {named[0]}" if named else outer or kind
    return ""


def _data_reasons(
    then: NodeDescription, now: NodeDescription, changed: Collection[str]
) -> Iterator[Reason]:
    """Say which files changed in the folders that a node reads, as far as they are in git."""
    for folder in now.folders:
        if folder in then.folders:
            prefix = "" if folder == "." else f"{folder}/"
            inside = sorted(file for file in changed if file.startswith(prefix))
            for file in inside[:_LINES_TOLD]:
                yield Reason("data", file, note="changed")
            if len(inside) > _LINES_TOLD:
                yield Reason("data", folder, note=f"and {len(inside) - _LINES_TOLD} more files")


def _package_reasons(now: NodeDescription, around: _Around) -> Iterator[Reason]:
    """Yield what changed in locks of packages that the user's code in a node imports."""
    for reason in around.inputs:
        package = reason.entry
        brought = around.files.modules.get(package, (package.replace("-", "_"),))
        if reason.what == "lock" and set(brought) & set(now.imports):
            yield reason


def _input_reasons(before: ProjectDescription, after: ProjectDescription) -> Iterator[Reason]:
    """Yield what changed in the files that decide what is in the image, and in its name."""
    for file in sorted({*before.inputs, *after.inputs}):
        then, now = before.inputs.get(file), after.inputs.get(file)
        if then is None:
            yield Reason("image", file, note="is new")
        elif now is None:
            yield Reason("image", file, note="is there no more")
        elif then != now:
            yield from _input_changes(file, then, now)
    for key in sorted({*before.images, *after.images}):
        old, new = before.images.get(key, ""), after.images.get(key, "")
        if old != new:
            yield Reason("image", "penstock.toml", old, new, entry=key)


def _input_changes(file: str, then: InputFile, now: InputFile) -> Iterator[Reason]:
    what = "lock" if now.is_lock else "image"
    for name in sorted({*then.entries, *now.entries}):
        before, after = then.entries.get(name), now.entries.get(name)
        if before != after:
            gone = "not there"
            old, new = _entry(before, after) if before and after else (before, after)
            old = gone if before is None else old or "any version"
            new = gone if after is None else new or "any version"
            yield Reason(what, file, old, new, entry=name)
    yield from _line_reasons(what, file, list(then.lines), list(now.lines))


def _entry(before: str, after: str) -> tuple[str, str]:
    """Return two entries of a lock; digests count only where the versions are the same."""
    old, new = before.split(" (", maxsplit=1)[0], after.split(" (", maxsplit=1)[0]
    return (before, after) if old == new else (old, new)


def changed_packages(before: ProjectDescription, after: ProjectDescription) -> list[str]:
    """Return the packages whose entries in a lock differ."""
    reasons = _input_reasons(before, after)
    return sorted({reason.entry for reason in reasons if reason.what == "lock" and reason.entry})


def seen_files(description: ProjectDescription) -> Iterator[str]:
    """Yield the files and folders that a project's pipelines, or their image, look at."""
    yield from description.inputs
    yield from description.modules
    for pipeline in description.pipelines.values():
        for node in pipeline.nodes.values():
            yield from node.code
            yield from node.files
            yield from node.folders


def unlooked_at(changed: Iterable[str], sides: Iterable[ProjectDescription]) -> list[str]:
    """Return the changed files that neither side's pipelines look at."""
    seen = {posixpath.normpath(file) for side in sides for file in seen_files(side)}
    return sorted(
        file
        for file in changed
        if file not in seen and not any(_is_below(file, folder) for folder in seen)
    )


def _is_below(file: str, folder: str) -> bool:
    return folder == "." or file.startswith(f"{folder}/")


def named_from_top(pipeline: PipelineChange, prefix: str) -> PipelineChange:
    """Return it with files named from the repository's top; the project's folder is `prefix`."""

    def moved(reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        return tuple(
            replace(
                reason,
                name=_joined(prefix, reason.name),
                before=_joined(prefix, reason.before) if reason.what == "code" else reason.before,
                after=_joined(prefix, reason.after) if reason.what == "code" else reason.after,
            )
            if reason.is_about_a_file
            else reason
            for reason in reasons
        )

    nodes = tuple(replace(node, reasons=moved(node.reasons)) for node in pipeline.nodes)
    return replace(pipeline, nodes=nodes, reasons=moved(pipeline.reasons))


def _joined(prefix: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(prefix, name)) if name else name


def as_json(change: ProjectChange) -> dict[str, Any]:
    """Return what is written for programs."""
    return {
        "base": {"name": change.base_name, "commit": change.base},
        "commit": change.commit,
        "dirty": change.is_dirty,
        "folder": change.folder,
        "changes": change.changes,
        "pipelines": [_pipeline_as_json(pipeline) for pipeline in change.pipelines],
        "other_files": list(change.elsewhere),
        "notes": list(change.notes),
        "base_error": change.error_before,
    }


def _pipeline_as_json(pipeline: PipelineChange) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "change": pipeline.kind.value,
        "fingerprint": pipeline.fingerprint,
        "base_fingerprint": pipeline.fingerprint_before,
        "reasons": [_reason_as_json(reason) for reason in pipeline.reasons],
        "nodes": [_node_as_json(node) for node in pipeline.nodes],
        "seconds": pipeline.seconds,
        "untimed": pipeline.untimed,
        "error": pipeline.error,
        "base_error": pipeline.error_before,
        "unforeseen": pipeline.unforeseen,
    }


def _node_as_json(node: NodeChange) -> dict[str, Any]:
    return {
        "node": node.node_id,
        "change": node.kind.value,
        "reasons": [_reason_as_json(reason) for reason in node.reasons],
        "after": list(node.after),
        "verdict": node.verdict,
        "plan": list(node.plan),
        "runs_again": node.runs_again,
        "seconds": node.seconds,
        "unseen": list(node.unseen),
    }


def _reason_as_json(reason: Reason) -> dict[str, Any]:
    return {**vars(reason), "text": str(reason)}
