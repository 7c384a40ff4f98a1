"""What tokens say about a label, by tf.Transform's own formulas and accumulators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.components.transform.vocabularies import Counts, token_array

if TYPE_CHECKING:
    from tensorflow_transform.analyzer_nodes import VocabularyMerge


class LabelMeans:
    """The mean label of each token: batches have tokens, weights if any, labels and counts."""

    def __init__(self, *, weighted: bool) -> None:
        self._weighted = weighted
        self._combiner = _combiner(weighted=weighted)
        self._accumulators: dict[Any, Any] = {}

    def add(self, arrays: Sequence[np.ndarray]) -> None:
        """Add a batch."""
        from tensorflow_transform.beam import analyzer_impls

        accumulators, add = self._accumulators, self._combiner.add_input
        for token, means in analyzer_impls._flatten_to_key_and_means_accumulator_list(
            arrays, compute_weighted=self._weighted
        ):
            if token not in accumulators:
                accumulators[token] = self._combiner.create_accumulator()
            accumulators[token] = add(accumulators[token], means)

    def merge(self, further: LabelMeans) -> None:
        """Add the batches that were added to another."""
        for token, means in further._accumulators.items():
            if token in self._accumulators:
                means = self._combiner.merge_accumulators([self._accumulators[token], means])
            self._accumulators[token] = means

    def fresh(self) -> LabelMeans:
        """Return one without batches."""
        return LabelMeans(weighted=self._weighted)

    def result(self) -> list[tuple[Any, Any]]:
        """Return tokens and their means."""
        extract = self._combiner.extract_output
        return [(token, extract(means)) for token, means in self._accumulators.items()]


def _combiner(*, weighted: bool) -> Any:
    from tensorflow_transform.beam import analyzer_impls

    return analyzer_impls._WeightedMeanCombineFn(output_shape=(None,), compute_weighted=weighted)


def information(
    parts: Iterable[tuple[Any, Any]], operation: VocabularyMerge, *, weighted: bool
) -> Counts:
    """Return the information of each token, from the means of parts of the data."""
    from tensorflow_transform import analyzers, tf_utils
    from tensorflow_transform.beam import analyzer_impls

    combiner = _combiner(weighted=weighted)
    by_token: dict[Any, Any] = {}
    for token, means in parts:
        so_far = by_token.get(token) or combiner.create_accumulator()
        by_token[token] = combiner.add_input(so_far, means)
    overall = None
    for sentinel in (tf_utils.GLOBAL_Y_COUNT_SENTINEL_STRING, tf_utils.GLOBAL_Y_COUNT_SENTINEL_INT):
        means = by_token.pop(sentinel, None)
        overall = overall if means is None else combiner.extract_output(means)
    least = operation.min_diff_from_avg
    if least is None and overall is not None:
        least = analyzers.calculate_recommended_min_diff_from_avg(overall.count * overall.weight)
    measured = []
    for token, means in by_token.items():
        measured.append(
            analyzer_impls._calculate_mutual_information_for_feature_value(
                (token, combiner.extract_output(means)),
                overall,
                use_adjusted_mutual_info=operation.use_adjusted_mutual_info,
                min_diff_from_avg=least,
            )
        )
    is_text = not measured or isinstance(measured[0][0], bytes)
    return Counts(
        token_array([token for token, _ in measured], is_text),
        np.array([float(values[0]) for _, values in measured], np.float64),
        np.array([float(values[2]) for _, values in measured], np.float64),
    )
