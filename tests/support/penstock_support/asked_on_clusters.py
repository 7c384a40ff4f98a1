"""Models that workers of clusters ask, runs that have them, and what these have made."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from penstock import BeamOptions, Output, component
from penstock.artifacts import Examples, Model
from penstock.runners.kubeflow.contract.task import RUN_ID_VARIABLE


@component
def Trained(model: Output[Model]) -> None:
    """Train a classifier of who has a large amount."""
    import pyarrow as pa
    from sklearn.linear_model import LogisticRegression

    from penstock.models.saving import save_model

    amounts = pa.table({"amount": pa.array([i / 10 for i in range(-20, 21)], pa.float32())})
    numbers = amounts.column("amount").to_pylist()
    large = ["large" if number > 0.5 else "small" for number in numbers]
    fitted = LogisticRegression(max_iter=1000).fit(amounts.to_pandas(), large)
    save_model(fitted, str(Path(model.uri, "Format-Serving")), example=amounts)


@component
def Saved(model: Output[Model]) -> None:
    """Save a model of TensorFlow's that says how large amounts are, and is TFMA's to evaluate."""
    import tensorflow as tf

    from penstock.models import layout

    class Large(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def serve(self, examples: tf.Tensor) -> tf.Tensor:
            feature = {"amount": tf.io.FixedLenFeature([], tf.float32)}
            amounts = tf.io.parse_example(examples, feature)["amount"]
            return tf.sigmoid(amounts)[:, None]

    module = Large()
    signatures = {"serving_default": module.serve}
    tf.saved_model.save(module, layout.serving_model_directory(model.uri), signatures=signatures)


@component
def Parted(examples: Output[Examples], beam: BeamOptions = BeamOptions()) -> None:
    """Say how many of four parts were done by processes that do not know which run this is."""
    with beam.workers() as workers:
        elsewhere = sum(workers.map(_is_elsewhere, range(4)))
    Path(examples.uri, "elsewhere").write_text(str(elsewhere))
    sys.stdout.write(f"{elsewhere} parts were done elsewhere.\n")


def _is_elsewhere(_part: int, _advance: Any) -> bool:
    return RUN_ID_VARIABLE not in os.environ


def run(defined: Any, folder: Path, args: tuple[str, ...] = ()) -> Any:
    """Run a pipeline silently in a folder, with arguments that may name a cluster."""
    from penstock import LocalRunner
    from penstock.runners.local.display import Silent

    runner = LocalRunner(
        pipeline_root=str(folder),
        metadata=str(folder / "metadata.sqlite"),
        beam_args=args,
        display=Silent(),
    )
    return runner.run(defined)


def digests_of(result: Any, node: str, key: str) -> dict[str, str]:
    """Return what each file of an output holds, by its path in the artifact."""
    import hashlib

    folder = Path(result.output(node, key).uri)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
