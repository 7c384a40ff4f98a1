"""One validation: tries in fresh processes, and the blessing as TFX writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from penstock.artifacts import Examples, InfraBlessing, Model
from penstock.components.infra_validator.limits import RequestSpec, ValidationSpec
from penstock.data.splits import split_files
from penstock.errors import DataError
from penstock.models.checking import Answer, fresh_process
from penstock.models.layout import serving_model
from penstock.models.loading import trusted_code
from penstock.models.training_data import TrainingData

BLESSED_FILE = "INFRA_BLESSED"
NOT_BLESSED_FILE = "INFRA_NOT_BLESSED"


def validate(
    *,
    model: Model,
    blessing: InfraBlessing,
    examples: Sequence[Examples] | None,
    spec: ValidationSpec,
    request: RequestSpec,
) -> None:
    """Ask the model, and write TFX's blessing with what was measured as custom properties."""
    directory = serving_model(model.uri)
    rows = _rows(examples, request) if examples else None
    reasons: list[str] = []
    for _ in range(max(1, spec.num_tries)):
        answer, reasons = _try(directory, rows, trusted_code(model), spec)
        if not reasons:
            _record(answer, blessing)
            break
        for reason in reasons:
            print(reason)
    blessing.set_int_custom_property("blessed", int(not reasons))
    blessing.set_int_custom_property("has_model", 0)
    if reasons:
        blessing.set_string_custom_property("failures", json.dumps(reasons))
    Path(blessing.uri, NOT_BLESSED_FILE if reasons else BLESSED_FILE).touch()
    print(f"The model is {'not blessed' if reasons else 'blessed'} for serving.")


def _try(
    directory: str, rows: pa.Table | None, trusted: tuple[str, ...], spec: ValidationSpec
) -> tuple[Answer | None, list[str]]:
    # Loading and answering are measured there; here is only the end of all patience.
    patience = spec.max_loading_time_seconds + (spec.max_prediction_seconds or 300)
    try:
        with fresh_process() as fresh:
            answer = fresh.ask(
                directory,
                rows=rows,
                trusted=trusted,
                timeout_seconds=patience,
            )
    except DataError as error:
        return None, [str(error)]
    return answer, _beyond(answer, spec)


def _beyond(answer: Answer, spec: ValidationSpec) -> list[str]:
    """Return in words which limits were passed."""
    memory = answer.memory_bytes / 1e6
    measured = (
        ("Loading the model took", answer.load_seconds, spec.max_loading_time_seconds, "s"),
        ("Predicting took", answer.predict_seconds, spec.max_prediction_seconds, "s"),
        ("The process took", memory, spec.max_memory_mb, "MB"),
    )
    return [
        f"{what} {value:.3g} {unit}, and may take {limit:g} {unit}."
        for what, value, limit, unit in measured
        if limit is not None and value > limit
    ]


def _record(answer: Answer | None, blessing: InfraBlessing) -> None:
    assert answer is not None
    blessing.set_float_custom_property("loading_seconds", answer.load_seconds)
    blessing.set_float_custom_property("prediction_seconds", answer.predict_seconds)
    blessing.set_float_custom_property("memory_mb", answer.memory_bytes / 1e6)
    print(
        f"It loads in {answer.load_seconds:.2f} s, answers in {answer.predict_seconds:.3f} s and "
        f"takes {answer.memory_bytes / 1e6:.0f} MB."
    )


def _rows(examples: Sequence[Examples], request: RequestSpec) -> pa.Table:
    files = [file for artifact in examples for file in split_files(artifact, request.split_name)]
    batch = next(TrainingData(tuple(files)).batches(request.num_examples), None)
    if batch is None:
        raise DataError(
            f"the split {request.split_name!r} has no rows to ask the model about", path=files[0]
        )
    return pa.Table.from_batches([batch])
