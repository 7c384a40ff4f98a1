"""How the rows of two data sets differ, as ExampleDiff has found it, for the report of its run."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.metadata.reading import ArtifactRecord


@dataclass(frozen=True)
class FeatureDifference:
    """In how many pairs of rows a feature is alike, another, or in one of the rows alone."""

    name: str
    alike: int
    other: int
    base_alone: int
    test_alone: int


@dataclass(frozen=True)
class PairDifference:
    """What was found of a pair of splits; of the features those that differ."""

    name: str
    counted: tuple[tuple[int, str], ...]
    features: tuple[FeatureDifference, ...]


@dataclass(frozen=True)
class Differences:
    """What one node found."""

    node_id: str
    pairs: tuple[PairDifference, ...] = ()
    problems: tuple[str, ...] = ()


def read_differences(node_id: str, artifact: ArtifactRecord) -> Differences:
    """Read what ExampleDiff wrote, ours or TFX's; what cannot be read is a problem."""
    # It reads records with Arrow, which a run without such an artifact does not need.
    from penstock.data.results import example_diffs

    pairs, problems = [], []
    for name in example_diffs.pairs_of(artifact.uri):
        try:
            diff = example_diffs.read(artifact.uri, name)
        except (PenstockError, OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
            continue
        features = tuple(
            FeatureDifference(
                skew.feature_name,
                skew.match_count,
                skew.mismatch_count,
                skew.base_only,
                skew.test_only,
            )
            for skew in example_diffs.differing(diff)
        )
        pairs.append(PairDifference(name, tuple(example_diffs.counted(diff.matches)), features))
    return Differences(node_id, tuple(pairs), tuple(problems))
