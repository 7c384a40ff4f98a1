"""ExampleDiff in this process: rows are compared by hashes, and few of them are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from penstock.authoring.beam import BeamOptions
from penstock.components.example_diff.comparison import Comparison
from penstock.components.example_diff.hashed import (
    ABSENT,
    EMPTY,
    PRESENT,
    Hashed,
    Side,
    Values,
    read_side,
)
from penstock.data.parallel.rows_done import RowsDone
from penstock.data.records import serialized_examples
from penstock.data.results import example_diffs
from penstock.data.results.example_diffs import Diff

# Of pairs are looked at that many at a time; identifiers of more pairs alone.
_PAIRS = 1 << 20
# Samples are drawn by this seed: the same data has the same ones.
_SEED = 0

# How the features of a pair compare.
_MATCH, _BASE_ONLY, _TEST_ONLY, _MISMATCH, _NEITHER = range(5)
_COUNTED = ("match_count", "base_only", "test_only", "mismatch_count")


def compare(
    pairs: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    comparison: Comparison,
    uri: str,
    beam: BeamOptions,
    progress: Callable[..., None],
) -> None:
    """Compare the files of baselines with others, by the names of their pairs."""
    del beam
    done = RowsDone(progress)
    for name, (baseline, files) in pairs.items():
        example_diffs.write(difference(baseline, files, comparison, done.add), uri, name)


def difference(
    baseline: Sequence[str],
    files: Sequence[str],
    comparison: Comparison,
    advance: Callable[[int], None] = lambda _: None,
) -> Diff:
    """Return how the rows of some files differ from those of a baseline."""
    values = {name: Values() for name in comparison.confusion}
    base = read_side(baseline, comparison, values, advance)
    test = read_side(files, comparison, values, advance)
    joined = _Joined.of(base, test, comparison.duplicates)
    found = _Found(comparison.samples)
    random = np.random.default_rng(_SEED)
    for base_rows, test_rows in joined.pairs():
        skewed = np.zeros(len(base_rows), bool)
        for name in sorted({*base.features, *test.features} - comparison.ignored):
            skewed |= found.add(name, *_of_pairs(base, test, name, base_rows, test_rows))
        found.draw(base_rows[skewed], test_rows[skewed], random)
        for name, one in values.items():
            found.count(name, base.codes[name][base_rows], test.codes[name][test_rows], one)
    return Diff(
        [found.skew[name] for name in sorted(found.skew)],
        joined.matches,
        list(_samples(found.drawn, base, test, baseline, files, comparison)),
        list(found.confused(values)) if values else None,
    )


@dataclass(frozen=True)
class _Joined:
    """Which rows have the identifiers of which; `chosen` are those that make pairs."""

    base_order: Any
    test_order: Any
    base_counts: Any
    test_counts: Any
    chosen: Any
    matches: Any

    @classmethod
    def of(cls, base: Side, test: Side, duplicates: bool) -> _Joined:
        """Join by identifiers."""
        rows = len(base.identifiers)
        known, places = np.unique(
            np.concatenate([base.identifiers, test.identifiers]), return_inverse=True
        )
        base_counts = np.bincount(places[:rows], minlength=len(known))
        test_counts = np.bincount(places[rows:], minlength=len(known))
        several = (base_counts > 1) | (test_counts > 1)
        chosen = (base_counts > 0) & (test_counts > 0)
        matches = example_diffs.message_classes()["MatchStats"](
            base_with_id_count=rows,
            test_with_id_count=len(test.identifiers),
            identifiers_count=len(known),
            ids_missing_in_base_count=int((base_counts == 0).sum()),
            ids_missing_in_test_count=int((test_counts == 0).sum()),
            matching_pairs_count=int((base_counts * test_counts).sum()),
            base_missing_id_count=base.without,
            test_missing_id_count=test.without,
            duplicate_id_count=int(several.sum()),
        )
        return cls(
            np.argsort(places[:rows], kind="stable"),
            np.argsort(places[rows:], kind="stable"),
            base_counts,
            test_counts,
            np.flatnonzero(chosen if duplicates else chosen & ~several),
            matches,
        )

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """Yield the places of rows that are pairs, some at a time."""
        base_starts = np.cumsum(self.base_counts) - self.base_counts
        test_starts = np.cumsum(self.test_counts) - self.test_counts
        counts = (self.base_counts * self.test_counts)[self.chosen]
        blocks = np.cumsum(counts) // _PAIRS
        for some in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(blocks)) + 1):
            each = counts[some]
            which = np.repeat(self.chosen[some], each)
            within = np.arange(len(which)) - np.repeat(np.cumsum(each) - each, each)
            others = self.test_counts[which]
            yield (
                self.base_order[base_starts[which] + within // others],
                self.test_order[test_starts[which] + within % others],
            )


@dataclass
class _Found:
    """What was found of the pairs so far; `drawn` are samples, by their lots, lowest first."""

    samples: int
    skew: dict[str, Any] = field(default_factory=dict)
    drawn: list[tuple[float, int, int]] = field(default_factory=list)
    counts: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def add(self, name: str, base: Hashed, test: Hashed) -> Any:
        """Count how a feature of pairs compares, and return which of them differ in it."""
        outcomes, is_there = _outcomes(base, test)
        if not is_there.any():
            return is_there
        kind = example_diffs.message_classes()["FeatureSkew"]
        skew = self.skew.setdefault(name, kind(feature_name=name))
        skew.base_count += int((base.states == PRESENT).sum())
        skew.test_count += int((test.states == PRESENT).sum())
        counts = np.bincount(outcomes[is_there], minlength=len(_COUNTED))
        for counted, count in zip(_COUNTED, counts.tolist(), strict=False):
            setattr(skew, counted, getattr(skew, counted) + count)
        skew.diff_count = skew.base_only + skew.test_only + skew.mismatch_count
        return is_there & (outcomes != _MATCH)

    def draw(self, base_rows: Any, test_rows: Any, random: np.random.Generator) -> None:
        """Let pairs that differ draw lots for the places of samples."""
        if self.samples:
            lots = random.random(len(base_rows))
            lowest = np.argsort(lots, kind="stable")[: self.samples]
            drawn = zip(*(a[lowest].tolist() for a in (lots, base_rows, test_rows)), strict=True)
            self.drawn = sorted([*self.drawn, *drawn])[: self.samples]

    def count(self, name: str, base_codes: Any, test_codes: Any, values: Values) -> None:
        """Count pairs of values of a confusion feature."""
        size = len(values.numbers)
        distinct, counts = np.unique(base_codes * size + test_codes, return_counts=True)
        for code, count in zip(distinct.tolist(), counts.tolist(), strict=True):
            key = (name, *divmod(code, size))
            self.counts[key] = self.counts.get(key, 0) + count

    def confused(self, values: Mapping[str, Values]) -> Iterator[Any]:
        """Yield the counts of pairs of values."""
        kind = example_diffs.message_classes()["ConfusionCount"]
        texts = {name: list(one.numbers) for name, one in values.items()}
        for (name, base, test), count in sorted(self.counts.items()):
            counted = kind(feature_name=name, count=count)
            counted.base.bytes_value = texts[name][base]
            counted.test.bytes_value = texts[name][test]
            yield counted


def _of_pairs(
    base: Side, test: Side, name: str, base_rows: Any, test_rows: Any
) -> tuple[Hashed, Hashed]:
    sides = ((base, base_rows), (test, test_rows))
    one, other = (
        side.features[name].take(rows) if name in side.features else Hashed.absent(len(rows))
        for side, rows in sides
    )
    return one, other


def _outcomes(one: Hashed, other: Hashed) -> tuple[Any, Any]:
    """Return how a feature compares in each pair, and whether either row names it."""
    has, other_has = one.states == PRESENT, other.states == PRESENT
    outcomes = np.full(len(has), _NEITHER)
    outcomes[has & ~other_has] = _BASE_ONLY
    outcomes[other_has & ~has] = _TEST_ONLY
    both = has & other_has
    outcomes[both] = np.where(one.hashes[both] == other.hashes[both], _MATCH, _MISMATCH)
    # A list without values is no absent one.
    outcomes[(one.states == EMPTY) & (other.states == EMPTY)] = _MATCH
    return outcomes, (one.states != ABSENT) | (other.states != ABSENT)


def _samples(
    drawn: Sequence[tuple[float, int, int]],
    base: Side,
    test: Side,
    baseline: Sequence[str],
    files: Sequence[str],
    comparison: Comparison,
) -> Iterator[Any]:
    if not drawn:
        return
    pairs = [(base_row, test_row) for _, base_row, test_row in drawn]
    base_rows, test_rows = (np.array(rows) for rows in zip(*pairs, strict=True))
    base_records = _records(baseline, base.rows[base_rows].tolist())
    test_records = _records(files, test.rows[test_rows].tolist())
    kind = example_diffs.message_classes()["SkewPair"]
    samples = [
        kind(base=base_records[int(b)], test=test_records[int(t)])
        for b, t in zip(base.rows[base_rows], test.rows[test_rows], strict=True)
    ]
    for name in sorted({*base.features, *test.features} - comparison.ignored):
        outcomes, is_there = _outcomes(*_of_pairs(base, test, name, base_rows, test_rows))
        for sample, outcome, named in zip(
            samples, outcomes.tolist(), is_there.tolist(), strict=True
        ):
            if named and outcome != _NEITHER:
                lists = (
                    sample.matched_features,
                    sample.base_only_features,
                    sample.test_only_features,
                    sample.mismatched_features,
                )
                lists[outcome].append(name)
    yield from samples


def _records(files: Sequence[str], rows: Iterable[int]) -> dict[int, bytes]:
    """Return the serialized examples in some places among all."""
    wanted = set(rows)
    serialized = (record for file in files for record in serialized_examples(file))
    found = {}
    for place, record in enumerate(serialized):
        if place in wanted:
            found[place] = record
            if len(found) == len(wanted):
                break
    return found
