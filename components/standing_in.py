"""Which class of which component does the work of which executor class of TFX's.

Each stands beside its component, and is imported when a pipeline has such a node.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock.data.payload import PAYLOAD_FORMAT_PROPERTY, PayloadFormat
from penstock.data.splits import CUSTOM_SPLIT_PATTERN

STAND_INS = {
    f"tfx.components.{theirs}.executor.Executor": f"penstock.components.{ours}.for_tfx.Executor"
    for theirs, ours in {
        "bulk_inferrer": "bulk_inferrer",
        "evaluator": "evaluator",
        "example_diff": "example_diff",
        "example_gen.csv_example_gen": "csv_example_gen",
        "example_gen.import_example_gen": "import_example_gen",
        "example_validator": "example_validator",
        "pusher": "pusher",
        "schema_gen": "schema_gen",
        "schema_gen.import_schema_gen": "import_schema_gen",
        "statistics_gen": "statistics_gen",
        "transform": "transform",
    }.items()
}

_TF_EXAMPLE = PayloadFormat.FORMAT_TF_EXAMPLE.name


def unusual_examples(artifacts: Iterable[Any]) -> str:
    """Return what is unusual of examples, so that TFX's own executor should read them, or ""."""
    for examples in artifacts:
        payload = examples.get_string_custom_property(PAYLOAD_FORMAT_PROPERTY)
        if payload not in ("", _TF_EXAMPLE):
            return f"the examples are {payload}"
        # TFX's components do not agree on whether they follow it.
        if examples.has_custom_property(CUSTOM_SPLIT_PATTERN):
            return f"the examples have a {CUSTOM_SPLIT_PATTERN}"
        if examples.has_custom_property("data_view_uri"):
            return "the examples have a data view"
    return ""
