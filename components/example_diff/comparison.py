"""What is compared of two data sets, by whom, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    """Return lines that say what was found of a pair of splits: the base is the baseline."""
    counts = example_diffs.counted(diff.matches)
    lines = [f"{pair}: {', '.join(f'{count:,} {what}' for count, what in counts)}"]
    differing = example_diffs.differing(diff)
    for skew in differing[:_SHOWN]:
        parts = [
            (skew.mismatch_count, "differ"),
            (skew.base_only, "in the base alone"),
            (skew.test_only, "in the test alone"),
        ]
        said = ", ".join(f"{count:,} {what}" for count, what in parts if count)
        lines.append(f"  {skew.feature_name}: {skew.match_count:,} alike, {said}")
    if len(differing) > _SHOWN:
        lines.append(f"  and {len(differing) - _SHOWN} more features that differ")
    if not differing and diff.matches.matching_pairs_count:
        lines.append("  All features are alike.")
    return "\n".join(lines)
