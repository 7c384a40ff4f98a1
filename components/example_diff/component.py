"""ExampleDiff: are the same rows the same in both data sets?"""

from __future__ import annotations

from penstock import BeamOptions, Input, NodeContext, Output, component
from penstock.artifacts import Examples, ExamplesDiff
from penstock.data.splits import split_names
from penstock.errors import ParameterError


@component
def ExampleDiff(
    examples: Input[Examples],
    baseline_examples: Input[Examples],
    example_diff: Output[ExamplesDiff],
    identifier_features: list[str],
    ignore_features: list[str] | None = None,
    float_round_ndigits: int | None = None,
    allow_duplicate_identifiers: bool = False,
    skew_sample_size: int = 0,
    confusion_features: list[str] | None = None,
    include_split_pairs: list[list[str]] | None = None,
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Pair the rows of two data sets that have the same identifiers, and compare their features.

    As to find out whether features are in training what they are in serving. For each feature are
    counted the pairs in which it is the same, is another, or only one has it. Numbers with a
    fraction are compared to `float_round_ndigits` digits after the point, if that is given.
    Identifiers that several rows have are passed over, unless `allow_duplicate_identifiers` makes a
    pair of each of one with each of the other. `skew_sample_size` pairs that differ are kept whole.
    Of `confusion_features`, which are texts, all pairs of values are counted.
    `include_split_pairs` are pairs of a split and one of the baseline's; by default all.

    Raises:
      ParameterError: there is no such pair of splits, or no identifier.
      DataError: a split has no files, or a confusion feature is no text.
    """
    from penstock.components.example_diff.comparison import Comparison, compare

    comparison = Comparison(
        tuple(identifier_features),
        frozenset(ignore_features or ()),
        float_round_ndigits,
        allow_duplicate_identifiers,
        skew_sample_size,
        tuple(confusion_features or ()),
    )
    comparison.check()
    pairs = pairs_of(examples, baseline_examples, include_split_pairs)
    compare(
        examples, baseline_examples, pairs, comparison, example_diff.uri, beam, context.progress
    )


def pairs_of(
    examples: Examples, baseline: Examples, wanted: list[list[str]] | None
) -> list[tuple[str, str]]:
    """Return the pairs of a split and one of the baseline's that are to be compared.

    Raises:
      ParameterError: one that is wanted is none, or there are none at all.
    """
    splits, baseline_splits = split_names(examples), split_names(baseline)
    has = f"the examples have the splits {splits}, those of the baseline {baseline_splits}"
    every = [(split, other) for split in splits for other in baseline_splits]
    for pair in wanted or ():
        if tuple(pair) not in every:
            raise ParameterError(
                f"expected pairs of a split and one of the baseline's as include_split_pairs, got "
                f"{list(pair)}: {has}"
            )
    asked = {tuple(pair) for pair in wanted or every}
    if not every:
        raise ParameterError(f"expected splits to compare, but {has}")
    return [pair for pair in every if pair in asked]
