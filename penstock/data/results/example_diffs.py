"""What ExampleDiff finds of a pair of splits, in the files of TFX, with the messages of TFDV.

`SplitPair-A_B/` has the TFRecords `skew_stats` (a FeatureSkew for each feature), `match_stats` (one
MatchStats), `sample_pairs` (SkewPairs) and, where it was asked for, `confusion` (ConfusionCounts).
"""

from __future__ import annotations

import functools
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.data.coding.own_messages import described_classes
from penstock.data.data_files import shard_name
from penstock.data.records import TFRecordWriter, read_serialized

PAIR = "SplitPair-"
SKEW, MATCHES, SAMPLES, CONFUSION = "skew_stats", "match_stats", "sample_pairs", "confusion"

_PACKAGE = "penstock.example_diff"
_MESSAGES: Mapping[str, Sequence[str]] = {
    "FeatureSkew": (
        "string feature_name 1",
        "uint64 base_count 2",
        "uint64 test_count 3",
        "uint64 match_count 4",
        "uint64 base_only 5",
        "uint64 test_only 6",
        "uint64 mismatch_count 7",
        "uint64 diff_count 8",
    ),
    "SkewPair": (
        "bytes base 1",
        "bytes test 2",
        "repeated string base_only_features 3",
        "repeated string test_only_features 4",
        "repeated string matched_features 5",
        "repeated string mismatched_features 6",
    ),
    "Value": ("bytes bytes_value 1",),
    "ConfusionCount": (
        "string feature_name 1",
        "Value base 2",
        "Value test 3",
        "uint64 count 4",
    ),
    "MatchStats": (
        "uint64 base_with_id_count 1",
        "uint64 test_with_id_count 2",
        "uint64 identifiers_count 3",
        "uint64 ids_missing_in_base_count 4",
        "uint64 ids_missing_in_test_count 5",
        "uint64 matching_pairs_count 6",
        "uint64 base_missing_id_count 7",
        "uint64 test_missing_id_count 8",
        "uint64 duplicate_id_count 9",
    ),
}
_KINDS = {
    SKEW: "FeatureSkew",
    MATCHES: "MatchStats",
    SAMPLES: "SkewPair",
    CONFUSION: "ConfusionCount",
}


@dataclass(frozen=True)
class Diff:
    """What was found of a pair of splits; without `confusion` it was not asked for."""

    skew: Sequence[Any]
    matches: Any
    samples: Sequence[Any] = ()
    confusion: Sequence[Any] | None = None


@functools.cache
def message_classes() -> Mapping[str, Any]:
    """Return the messages' classes by name."""
    return described_classes(_PACKAGE, _MESSAGES)


def write(diff: Diff, uri: str, pair: str) -> None:
    """Write what was found of a pair of splits below an artifact."""
    folder = os.path.join(uri, f"{PAIR}{pair}")
    os.makedirs(folder)
    written: dict[str, Iterable[Any]] = {
        SKEW: diff.skew,
        MATCHES: [diff.matches],
        SAMPLES: diff.samples,
    }
    if diff.confusion is not None:
        written[CONFUSION] = diff.confusion
    for name, messages in written.items():
        with TFRecordWriter(os.path.join(folder, shard_name(name, 0, 1, suffix=""))) as records:
            for message in messages:
                records.write(message.SerializeToString(deterministic=True))


def pairs_of(uri: str) -> list[str]:
    """Return the names of the pairs of splits of which an artifact has something."""
    names = sorted(os.listdir(uri)) if os.path.isdir(uri) else []
    return [name.removeprefix(PAIR) for name in names if name.startswith(PAIR)]


def counted(matches: Any) -> list[tuple[int, str]]:
    """Return what a MatchStats counts, but for what there is none of, and in words."""
    counts = [
        (matches.base_with_id_count, "rows of the base with identifiers"),
        (matches.test_with_id_count, "rows of the test with identifiers"),
        (matches.base_missing_id_count, "rows of the base without"),
        (matches.test_missing_id_count, "rows of the test without"),
        (matches.ids_missing_in_base_count, "identifiers that the base lacks"),
        (matches.ids_missing_in_test_count, "identifiers that the test lacks"),
        (matches.duplicate_id_count, "identifiers of several rows"),
        (matches.matching_pairs_count, "pairs"),
    ]
    return [(count, what) for count, what in counts if count]


def differing(diff: Diff) -> list[Any]:
    """Return the FeatureSkews of features that differ, those that do in most pairs first."""
    found = [skew for skew in diff.skew if skew.diff_count]
    return sorted(found, key=lambda skew: (-skew.diff_count, skew.feature_name))


def read(uri: str, pair: str) -> Diff:
    """Read what was found of a pair of splits, by us or by TFX."""
    [matches] = _read(uri, pair, MATCHES)
    asked = _files(uri, pair, CONFUSION)
    return Diff(
        sorted(_read(uri, pair, SKEW), key=lambda skew: str(skew.feature_name)),
        matches,
        list(_read(uri, pair, SAMPLES)),
        list(_read(uri, pair, CONFUSION)) if asked else None,
    )


def _files(uri: str, pair: str, name: str) -> list[str]:
    folder = glob.escape(os.path.join(uri, f"{PAIR}{pair}"))
    return sorted(glob.glob(os.path.join(folder, f"{name}-*-of-*")))


def _read(uri: str, pair: str, name: str) -> Iterator[Any]:
    kind = message_classes()[_KINDS[name]]
    for record in read_serialized(_files(uri, pair, name)):
        yield kind.FromString(record)
