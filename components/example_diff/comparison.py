"""What is compared of two data sets, by whom, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.artifacts import Examples
from penstock.authoring.beam import BeamOptions
from penstock.data.results import example_diffs
from penstock.data.splits import split_files
from penstock.errors import ParameterError

# There may be thousands of features.
_SHOWN = 20


@dataclass(frozen=True)
class Comparison:
    """How rows find each other, and what is compared of them; see the component."""

    identifiers: tuple[str, ...]
    ignored: frozenset[str] = frozenset()
    digits: int | None = None
    duplicates: bool = False
    samples: int = 0
    confusion: tuple[str, ...] = ()

    def check(self) -> None:
        """Check that it can be done.

        Raises:
          ParameterError: it cannot.
        """
        if not self.identifiers:
            raise ParameterError(
                "expected identifier_features, got none",
                hint="Name the features that say which row is which, as an id.",
            )
        if self.digits is not None and self.digits < 0:
            raise ParameterError(f"expected float_round_ndigits of 0 or more, got {self.digits}")
        if self.samples < 0:
            raise ParameterError(f"expected skew_sample_size of 0 or more, got {self.samples}")


def compare(
    examples: Examples,
    baseline: Examples,
    pairs: Sequence[tuple[str, str]],
    comparison: Comparison,
    uri: str,
    beam: BeamOptions,
    progress: Callable[..., None],
    *,
    turned: bool = False,
) -> None:
    """Write what is found of each pair of splits below `uri`, and a table of it into the log.

    `turned` takes the examples for the baseline's, and those for the others, as TFX does.
    """
    engine = beam.engine("penstock.components.example_diff")
    files = [(split_files(baseline, other), split_files(examples, split)) for split, other in pairs]
    if turned:
        files = [(others, of_baseline) for of_baseline, others in files]
    names = [f"{split}_{other}" for split, other in pairs]
    engine.compare(dict(zip(names, files, strict=True)), comparison, uri, beam, progress)
    for name in () if turned else names:
        print(described(name, example_diffs.read(uri, name)))


def described(pair: str, diff: example_diffs.Diff) -> str:
    """Return lines that say what was found of a pair of splits."""
    matches = diff.matches
    rows = [
        (matches.base_with_id_count, "rows of the baseline with identifiers"),
        (matches.test_with_id_count, "rows with identifiers"),
        (matches.base_missing_id_count, "rows of the baseline without"),
        (matches.test_missing_id_count, "rows without"),
        (matches.ids_missing_in_base_count, "identifiers that the baseline lacks"),
        (matches.ids_missing_in_test_count, "identifiers of the baseline alone"),
        (matches.duplicate_id_count, "identifiers of several rows"),
        (matches.matching_pairs_count, "pairs"),
    ]
    lines = [f"{pair}: {', '.join(f'{count:,} {what}' for count, what in rows if count)}"]
    differing = sorted(diff.skew, key=_most_first)
    differing = [skew for skew in differing if skew.diff_count]
    for skew in differing[:_SHOWN]:
        parts = [
            (skew.mismatch_count, "differ"),
            (skew.base_only, "only in the baseline"),
            (skew.test_only, "not in the baseline"),
        ]
        said = ", ".join(f"{count:,} {what}" for count, what in parts if count)
        lines.append(f"  {skew.feature_name}: {skew.match_count:,} alike, {said}")
    if len(differing) > _SHOWN:
        lines.append(f"  and {len(differing) - _SHOWN} more features that differ")
    if not differing and matches.matching_pairs_count:
        lines.append("  All features are alike.")
    return "\n".join(lines)


def _most_first(skew: Any) -> tuple[int, str]:
    return -skew.diff_count, skew.feature_name
