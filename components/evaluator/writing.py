"""The files of an evaluation, as TFMA's writers write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.components.evaluator.plan import Plan


def write(directory: str, plan: Plan, sliced_metrics: Sequence[tuple[Any, dict[Any, Any]]]) -> None:
    """Write the metrics of all slices, whether they hold the thresholds, and the config."""
    from tensorflow_model_analysis.evaluators import metrics_validator
    from tensorflow_model_analysis.writers import eval_config_writer
    from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer as writer

    shard = "00000-of-00001.tfrecord"
    files = {
        f"metrics-{shard}": [
            writer.convert_slice_metrics_to_proto(metrics, []) for metrics in sliced_metrics
        ],
        f"plots-{shard}": [
            writer.convert_slice_plots_to_proto((key, {}), []) for key, _ in sliced_metrics
        ],
        f"attributions-{shard}": [
            writer.convert_slice_attributions_to_proto((key, {})) for key, _ in sliced_metrics
        ],
    }
    combiner = writer.CombineValidations(plan.eval_config, rubber_stamp=plan.rubber_stamp)
    validation = combiner.create_accumulator()
    for metrics in sliced_metrics:
        result = metrics_validator.validate_metrics(metrics, plan.eval_config)
        validation = combiner.add_input(validation, result)
    files["validations.tfrecord"] = [combiner.extract_output(validation)]
    for name, messages in files.items():
        _write_records(Path(directory, name), messages)
    locations = {name: model.model_path or "<unknown>" for name, model in plan.models.items()}
    config = eval_config_writer._serialize_eval_run(
        plan.eval_config, "<user provided PCollection>", "<unknown>", locations
    )
    Path(directory, "eval_config.json").write_text(f"{config}\n")


def _write_records(path: Path, messages: Sequence[Any]) -> None:
    import tensorflow

    with tensorflow.io.TFRecordWriter(str(path)) as records:
        for message in messages:
            records.write(message.SerializeToString())
