"""What a project is, as far as a change can change it: frozen values, without code or folders.

Files are named from the project's folder on, those above it too (`../uv.lock`), so that a project
is the same wherever it lies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

_LENGTH = 24


@dataclass(frozen=True)
class NodeDescription:
    """What decides what a node makes, and how it is run.

    `definition` is what the pipeline says of it that may change what it makes, `options` what only
    changes how it is run. `files` are those that its parameters name, with digests; `folders` are
    looked at by git alone. `takes` are the nodes whose outputs it takes. `imports` are the modules
    of others that the user's code in it imports, `unseen` code that nobody can follow.
    """

    kind: str
    definition: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Foreseen:
    """What the store says of a node: the verdict of a plan, its reasons, and how long it takes.

    `seconds` is the median of what it took before, None where it never ran.
    """

    verdict: str
    reasons: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class PipelineDescription:
    """A registered pipeline under a profile; with an `error` nothing else is known of it.

    `settings` are what the profiles say of it. `foreseen` has a plan by node, `unforeseen` why
    there is none.
    """

    name: str = ""
    place: str = ""
    nodes: Mapping[str, NodeDescription] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    error: str = ""
    foreseen: Mapping[str, Foreseen] = field(default_factory=dict)
    unforeseen: str = ""


@dataclass(frozen=True)
class InputFile:
    """A file that decides what is in the image: its entries by name, or else its lines.

    `is_lock` is for those that pin packages.
    """

    entries: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    is_lock: bool = False


@dataclass(frozen=True)
class ProjectDescription:
    """A project's pipelines, what its image is made from, and the texts of files that nodes name.

    `modules` are the project's own files that were imported on the way. `images` are those that the
    profile names for pods. `notes` are what a reader should know.
    """

    pipelines: Mapping[str, PipelineDescription] = field(default_factory=dict)
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""


def fingerprint_of(
    nodes: Mapping[str, NodeDescription],
    settings: Mapping[str, Any],
    inputs: Mapping[str, InputFile],
) -> str:
    """Return a digest of all that a pipeline is: its nodes, what profiles say of it, and packages.

    Neither folders, nor the store, nor the data, nor the name of an image that was built from it
    take part. What has the same fingerprint may be deployed on the strength of the same checks.
    """
    content = {
        "nodes": {name: _decisive(node) for name, node in sorted(nodes.items())},
        "settings": settings,
        "inputs": {name: asdict(file) for name, file in sorted(inputs.items())},
    }
    return digest_of(json.dumps(content, sort_keys=True, default=repr))[:_LENGTH]


def _decisive(node: NodeDescription) -> dict[str, Any]:
    named = ("kind", "definition", "options", "code", "parameters", "files")
    return {name: getattr(node, name) for name in named}


def digest_of(*texts: str) -> str:
    """Return a digest of texts."""
    whole = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


def downstream(takes: Mapping[str, Iterable[str]], changed: Iterable[str]) -> dict[str, list[str]]:
    """Return the nodes that take what changed nodes make, over others too, each with these.

    `takes` has for every node, in topological order, those whose outputs it takes.
    """
    origins: dict[str, list[str]] = {name: [name] for name in changed}
    following: dict[str, list[str]] = {}
    for name, producers in takes.items():
        found = dict.fromkeys(o for p in producers for o in origins.get(p, ()) if o != name)
        if not found:
            continue
        following[name] = list(found)
        origins[name] = list(dict.fromkeys([*origins.get(name, ()), *found]))
    return following
