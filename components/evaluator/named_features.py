"""Whether the features that an eval_config names are there, asked before a model is evaluated.

TFMA passes over what it does not find: slices, thresholds for which hold, and weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.data.records import read_record_batches
from penstock.errors import DataError, suggestion

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

# A feature that is in every row is found in the first of these; files are read on for others.
_BATCH_ROWS = 1_000


class _Named(NamedTuple):
    feature: str
    what: str
    where: str


def check_named_features(
    files: Sequence[str],
    config: Any,
    schema: schema_pb2.Schema | None = None,
    made: Callable[[], Iterable[str] | None] = tuple,
) -> None:
    """Raise DataError if an example weight or a slice is of a feature that no example has.

    Features of the schema may be without values. `made` is asked for the features that a model
    makes itself, where others are missing; None says that these are not known.
    """
    wanted = list(_named(config))
    known = {feature.name for feature in schema.feature} if schema is not None else set()
    missing = {
        named.feature for named in wanted if named.what != "slice" or named.feature not in known
    }
    if not missing:
        return
    for batch in read_record_batches(files, _BATCH_ROWS, columns=sorted(missing), absent=False):
        missing -= set(batch.schema.names)
        if not missing:
            return
    names = _names(files)
    if not names:  # who reads the rows says that there are none
        return
    further = made()
    if further is None:
        return
    for named in wanted:
        if named.feature in missing and named.feature not in further:
            raise DataError(
                f"the examples have no feature {named.feature!r}, which {named.where} of "
                "eval_config names",
                column=named.feature,
                hint=suggestion(named.feature, sorted({*names, *further}), noun="feature"),
            )


def _named(config: Any) -> Iterator[_Named]:
    for spec in config.model_specs:
        for key in filter(None, (spec.example_weight_key, *spec.example_weight_keys.values())):
            yield _Named(key, "weight", "the example_weight_key")
    slicing = [(spec, "a slicing_spec") for spec in config.slicing_specs]
    for cross in config.cross_slicing_specs:
        slicing += [
            (spec, "a cross_slicing_spec") for spec in (cross.baseline_spec, *cross.slicing_specs)
        ]
    for spec, where in slicing:
        for name in (*spec.feature_keys, *spec.feature_values):
            yield _Named(name, "slice", where)


def _names(files: Sequence[str]) -> list[str]:
    return next((batch.schema.names for batch in read_record_batches(files, _BATCH_ROWS)), [])
