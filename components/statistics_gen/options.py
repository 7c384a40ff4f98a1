"""TFDV's `StatsOptions` from a node's parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from penstock.errors import ParameterError, suggestion

if TYPE_CHECKING:
    from tensorflow_data_validation import StatsOptions
    from tensorflow_metadata.proto.v0 import schema_pb2

# Keys of StatsOptions.to_json that are no attributes of the options.
_JSON_ONLY_KEYS = frozenset(
    {"TYPE_NAME", "schema_json", "slicing_config_json", "per_feature_weight_override_json"}
)


def statistics_options(
    stats_options_json: str | None = None, schema: schema_pb2.Schema | None = None
) -> StatsOptions:
    """Return the options that the JSON and the schema describe.

    The JSON is what `tfdv.StatsOptions.to_json` returns, or a part of it by the names of the
    constructor's arguments: `{"num_top_values": 50}`.

    Raises:
      ParameterError: the JSON cannot be read, names an unknown option, or brings a schema where
        there is a schema already.
    """
    import tensorflow_data_validation as tfdv

    complete = json.loads(tfdv.StatsOptions().to_json())
    complete.update(_with_attribute_names(_decode(stats_options_json), complete))
    options = tfdv.StatsOptions.from_json(json.dumps(complete))
    # JSON goes round the checks of the setters.
    options.sample_rate = options.sample_rate
    if schema is not None:
        if options.schema is not None:
            raise ParameterError(
                "expected one schema, but stats_options_json has one and so has the input",
                hint="Remove one of the two.",
            )
        options.schema = schema
    return options


def _decode(stats_options_json: str | None) -> dict[str, Any]:
    if not stats_options_json:
        return {}
    try:
        options = json.loads(stats_options_json)
    except json.JSONDecodeError as error:
        raise ParameterError(
            f"expected stats_options_json to be JSON, but it does not parse: {error}",
            hint="Use tfdv.StatsOptions(...).to_json().",
        ) from error
    if not isinstance(options, dict):
        raise ParameterError(
            f"expected stats_options_json to be a JSON object, but it is {type(options).__name__}",
            hint="Use tfdv.StatsOptions(...).to_json().",
        )
    return options


def _with_attribute_names(options: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """Spell options as the attributes that hold them, some of which are private."""
    spelled = {}
    for name, value in options.items():
        if name in attributes or name in _JSON_ONLY_KEYS:
            spelled[name] = value
        elif f"_{name}" in attributes:
            spelled[f"_{name}"] = value
        else:
            names = [key.removeprefix("_") for key in attributes if key != "TYPE_NAME"]
            raise ParameterError(
                f"stats_options_json has the unknown option {name!r}",
                hint=suggestion(name, names, noun="option"),
            )
    return spelled


def reason_for_beam(options: StatsOptions) -> str | None:
    """Return what in the options only Beam can compute, or None."""
    if options.label_feature and options.schema is not None:
        return f"the lift of values against label_feature {options.label_feature!r}"
    slicing = options.slicing_config
    # TFDV 1.21 has no SQL any more.
    if getattr(options, "experimental_slice_sqls", None) or (
        slicing is not None and any(spec.slice_keys_sql for spec in slicing.slicing_specs)
    ):
        return "slices given as SQL"
    return None
