"""Operations of tf.Transform's plan that need only their inputs.

An operation takes and returns what would be PCollections on Beam: lists of elements, or Counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from penstock.components.transform import analyzer_cache_files, combining, mutual_information
from penstock.components.transform.vocabularies import Counts, pruned, token_array

if TYPE_CHECKING:
    from tensorflow_transform.nodes import OperationDef

Elements: TypeAlias = list[Any] | Counts
Operation = Callable[..., tuple[Elements, ...]]


def plain() -> Mapping[type[OperationDef], Operation]:
    """Return what does each kind of operation, given its definition and its inputs."""
    from tensorflow_transform import analyzer_nodes as nodes
    from tensorflow_transform.beam import beam_nodes

    return {
        beam_nodes.Flatten: _flatten,
        nodes.AddKey: lambda node, values: ([(node.key, value) for value in values],),
        nodes.CacheableCombineMerge: _merge,
        nodes.CacheableCombinePerKeyFormatKeys: _format_keys,
        nodes.CacheableCombinePerKeyFormatLarge: _format_large,
        nodes.CacheableCombinePerKeyMerge: _merge_per_key,
        nodes.EncodeCache: lambda node, values: (
            list(analyzer_cache_files.encoded(node.coder, values)),
        ),
        nodes.ExtractCombineMergeOutputs: _extract_outputs,
        nodes.ExtractPackedCombineMergeOutputs: _extract_outputs,
        nodes.FlattenLists: lambda _, lists: ([value for values in lists for value in values],),
        nodes.PackedCombineMerge: _merge_packed,
        nodes.ScaleAndFlattenPerKeyBucketBouandaries: _join_boundaries,
        nodes.VocabularyCount: lambda _, counts: ([np.int64(max(len(counts), 1))],),
        nodes.VocabularyMerge: _merge_vocabularies,
        nodes.VocabularyPrune: lambda node, counts: (pruned(counts, node),),
    }


def unsupported_option(node: OperationDef) -> str | None:
    """Return what an operation of a known kind asks for and only Beam can do, if anything."""
    from tensorflow_transform import analyzer_nodes as nodes
    from tensorflow_transform.analyzers import _VocabOrderingType

    if (
        isinstance(node, nodes.VocabularyAccumulate)
        and node.vocab_ordering_type == _VocabOrderingType.WEIGHTED_LABELS
    ):
        return "VocabularyAccumulate by weighted labels"
    return None


def _flatten(_: Any, *parts: Elements) -> tuple[Elements]:
    counts = [part for part in parts if isinstance(part, Counts)]
    if counts and len(counts) == len(parts):
        return (Counts.together(counts),)
    return ([value for part in parts for value in _listed(part)],)


def _listed(part: Elements) -> list[Any]:
    if isinstance(part, Counts):
        return list(zip(part.tokens.to_pylist(), part.values.tolist(), strict=True))
    return part


def _merge(node: Any, accumulators: list[Any]) -> tuple[list[Any]]:
    return ([combining.merged(node.combiner, accumulators)],)


def _merge_packed(node: Any, keyed: list[tuple[str, Any]]) -> tuple[list[dict[str, Any]]]:
    outputs = {}
    for packed in node.combiners:
        (key,) = packed.keys
        accumulators = [value for name, value in keyed if name == key]
        outputs[packed.label] = combining.merged(packed.combiner, accumulators)
    return ([outputs],)


def _merge_per_key(node: Any, accumulators: list[tuple[Any, Any]]) -> tuple[list[Any]]:
    return (combining.merged_per_key(node.combiner, accumulators),)


def _format_keys(node: Any, outputs: list[tuple[Any, Any]]) -> tuple[list[np.ndarray], ...]:
    return combining.formatted_keys(node.combiner, outputs)


def _format_large(_: Any, outputs: list[tuple[Any, Any]]) -> tuple[Counts]:
    """Return keys whose values are their outputs as text."""
    tokens = token_array([key for key, _ in outputs], is_text=True)
    texts = np.array([",".join(map(_text, values)) for _, values in outputs], dtype=object)
    return (Counts(tokens, texts),)


def _text(value: Any) -> str:
    from tensorflow import compat

    text: str = compat.as_str_any(value)
    return text


def _extract_outputs(node: Any, outputs: list[Sequence[Any]]) -> tuple[list[Any], ...]:
    (values,) = outputs
    if len(values) != node.num_outputs:
        raise ValueError(
            f"an analyzer should have {node.num_outputs} outputs, and has {len(values)} "
            f"({node.label})"
        )
    return tuple([value] for value in values)


def _join_boundaries(_: Any, boundaries: list[np.ndarray]) -> tuple[list[Any], ...]:
    from tensorflow_transform.beam.analyzer_impls import _join_boundary_rows

    (matrix,) = boundaries
    return tuple([joined] for joined in _join_boundary_rows(matrix))


def _merge_vocabularies(node: Any, parts: Elements) -> tuple[Counts]:
    from tensorflow_transform.analyzers import _VocabOrderingType as Ordering

    if isinstance(parts, Counts):
        return (parts.summed(),)
    ordering = node.vocab_ordering_type
    if ordering in (Ordering.MUTUAL_INFORMATION, Ordering.WEIGHTED_MUTUAL_INFORMATION):
        weighted = ordering == Ordering.WEIGHTED_MUTUAL_INFORMATION
        return (mutual_information.information(parts, node, weighted=weighted),)
    tokens = [token for token, _ in parts]
    is_text = not tokens or isinstance(tokens[0], bytes)
    values = np.array([value for _, value in parts])
    return (Counts(token_array(tokens, is_text), values).summed(),)
