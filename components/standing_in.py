"""Which class of which component does the work of which executor class of TFX's.

Each stands beside its component, and is imported when a pipeline has such a node.
"""

from __future__ import annotations

STAND_INS = {
    f"tfx.components.{theirs}.executor.Executor": f"penstock.components.{ours}.for_tfx.Executor"
    for theirs, ours in {
        "bulk_inferrer": "bulk_inferrer",
        "evaluator": "evaluator",
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
