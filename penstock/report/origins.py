"""Where a run's model comes from: the tree of what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.metadata.lineage import Lineage, Row, ancestors
from penstock.metadata.protocol import Store
from penstock.report.contents import Output, RunContents

# The artifacts that a lineage is told of, the first that a run has.
_ENDS = ("PushedModel", "Model")


@dataclass
class Branch:
    """An artifact of a tree, with the branches below it."""

    row: Row
    below: list[Branch] = field(default_factory=list)


@dataclass(frozen=True)
class Origin:
    """An artifact that a run came to, and the tree of what it was made from."""

    output: Output
    tree: Branch


def origins(store: Store, contents: RunContents) -> tuple[Origin, ...]:
    """Return where the models that were pushed come from; else those that were trained."""
    for type_name in _ENDS:
        outputs = [
            output
            for output in contents.outputs(type_name)
            if output.artifact.properties.get("pushed") != 0
        ]
        if outputs:
            return tuple(
                Origin(output, tree_of(ancestors(store, output.artifact.artifact_id)))
                for output in outputs
            )
    return ()


def tree_of(lineage: Lineage) -> Branch:
    """Return a lineage's rows as a tree."""
    path: list[Branch] = []
    for row in lineage.rows():
        branch = Branch(row)
        del path[row.depth :]
        if path:
            path[-1].below.append(branch)
        path.append(branch)
    return path[0]
