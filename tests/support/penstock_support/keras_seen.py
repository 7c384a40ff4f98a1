"""A pipeline whose nodes tell which Keras they have, run as a script with RUNNER.

Its folder is FOLDER; where FIRST is "transform", tensorflow_transform is imported before TFX.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if os.environ.get("FIRST") == "transform":
    import tensorflow_transform  # noqa: F401

from tfx import v1 as tfx

from penstock.components import CsvExampleGen, Trainer
from penstock_support.keras_told import Bare

TESTDATA = Path(tfx.__file__).parents[1] / "components" / "testdata"


def nodes() -> list[Any]:
    """TFX's Trainer, ours, and a component that imports TensorFlow in its body alone."""
    examples = CsvExampleGen(input_base=str(TESTDATA / "external" / "csv"))
    parts: dict[str, Any] = {
        "examples": examples.outputs["examples"],
        "run_fn": "penstock_support.keras_told.run_fn",
    }
    theirs = tfx.components.Trainer(
        **parts, train_args=tfx.proto.TrainArgs(), eval_args=tfx.proto.EvalArgs()
    ).with_id("TfxTrainer")
    return [examples, theirs, Trainer(**parts).with_id("OurTrainer"), Bare()]


def create_pipeline() -> Any:
    """The pipeline of these nodes."""
    folder = os.environ["FOLDER"]
    return tfx.dsl.Pipeline(
        pipeline_name="keras",
        pipeline_root=os.path.join(folder, "root"),
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            os.path.join(folder, "metadata.sqlite")
        ),
        components=nodes(),
    )


def main(runner: str) -> None:
    """Run it."""
    if runner == "tfx":
        tfx.orchestration.LocalDagRunner().run(create_pipeline())
    else:
        from penstock import LocalRunner

        LocalRunner().run(create_pipeline())


if __name__ == "__main__":
    main(*sys.argv[1:])
