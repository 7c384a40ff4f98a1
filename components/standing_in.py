"""Which class of which component does the work of which executor class of TFX's.

Each stands beside its component, and is imported when a pipeline has such a node.
"""

from __future__ import annotations

STAND_INS = {
    f"tfx.components.{theirs}.executor.Executor": f"penstock.components.{ours}.for_tfx.Executor"
    for theirs, ours in {
        "example_gen.csv_example_gen": "csv_example_gen",
        "statistics_gen": "statistics_gen",
    }.items()
}
