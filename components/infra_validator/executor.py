"""One validation: tries to serve the model, and the blessing as TFX writes it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from penstock.artifacts import Examples, InfraBlessing, Model
from penstock.components.infra_validator import own_server, tensorflow_serving
from penstock.components.infra_validator.limits import RequestSpec, ServingSpec, ValidationSpec
from penstock.components.infra_validator.outcome import Measured, Outcome
from penstock.components.infra_validator.own_server import Bounds
from penstock.data.splits import split_files, split_names
from penstock.errors import DataError, ParameterError
from penstock.models.layout import SAVED_MODEL_FILE, STAMPED_MODEL, serving_model
from penstock.models.loading import trusted_code
from penstock.models.training_data import TrainingData
from penstock.models.warmup import write_warmup
from penstock.serving.routes import Servable

BLESSED_FILE = "INFRA_BLESSED"
NOT_BLESSED_FILE = "INFRA_NOT_BLESSED"

_DEFAULT_NAME = "infra-validation-model"
_DEFAULT_SPLIT = "eval"
_OWN = "penstock"

Try = Callable[[], Outcome]


def validate(
    *,
    model: Model,
    blessing: InfraBlessing,
    examples: Sequence[Examples] | None,
    serving: ServingSpec,
    spec: ValidationSpec,
    request: RequestSpec | None,
) -> None:
    """Serve and ask the model; write TFX's blessing, with what was measured as custom properties.

    A blessed model gets its warm-up requests in a copy, where these are asked for.
    """
    directory = serving_model(model.uri)
    _check(request, directory)
    rows = _rows(examples, request) if examples and request is not None else None
    servable = Servable(1, directory, trusted_code(model))
    reasons = []
    for server, serve in _servers(servable, serving, spec, rows):
        outcome = _tried(serve, spec.num_tries)
        blessing.set_string_custom_property("server", server)
        if outcome.reason:
            reasons.append(outcome.reason)
        else:
            _record(outcome.measured, blessing)
    blessing.set_int_custom_property("blessed", int(not reasons))
    blessing.set_int_custom_property("has_model", 0)
    if reasons:
        blessing.set_string_custom_property("failures", json.dumps(reasons))
    elif rows is not None and request is not None and request.make_warmup:
        _write_stamped(directory, rows, blessing)
    Path(blessing.uri, NOT_BLESSED_FILE if reasons else BLESSED_FILE).touch()
    print(f"The model is {'not blessed' if reasons else 'blessed'} for serving.")


def _servers(
    servable: Servable, serving: ServingSpec, spec: ValidationSpec, rows: pa.Table | None
) -> Iterator[tuple[str, Try]]:
    """Yield by what the model is to be served, and how that is tried."""
    name = serving.model_name or _DEFAULT_NAME
    memory = spec.max_memory_mb * 1e6 if spec.max_memory_mb else serving.memory_bytes
    bounds = Bounds(spec.max_loading_time_seconds or 300, spec.max_prediction_seconds, memory)
    if serving.tensorflow_serving is not None:
        images = serving.tensorflow_serving.images
        if not os.path.isfile(os.path.join(servable.path, SAVED_MODEL_FILE)):
            reason = f"TensorFlow Serving serves SavedModels, and {servable.path} has none."
            yield images[0], partial(Outcome, reason, is_final=True)
            return
        client = tensorflow_serving.docker(serving) if serving.kubernetes is None else None
        if client is not None:
            for image in images:
                serve = tensorflow_serving.try_to_serve
                yield image, partial(serve, client, image, name, servable.path, rows, bounds)
            return
        print("Docker is not here to run TensorFlow Serving: Penstock's server serves the model.")
    yield _OWN, partial(own_server.try_to_serve, servable, name, rows, bounds)


def _tried(serve: Try, tries: int) -> Outcome:
    outcome = Outcome()
    for _ in range(max(1, tries)):
        outcome = serve()
        if not outcome.reason:
            return outcome
        print(outcome.reason)
        if outcome.is_final:
            break
    return outcome


def _record(measured: Measured, blessing: InfraBlessing) -> None:
    blessing.set_float_custom_property("loading_seconds", measured.loading_seconds)
    blessing.set_float_custom_property("prediction_seconds", measured.prediction_seconds)
    blessing.set_float_custom_property("memory_mb", measured.memory_bytes / 1e6)
    memory = f" and takes {measured.memory_bytes / 1e6:.0f} MB" if measured.memory_bytes else ""
    print(
        f"It loads in {measured.loading_seconds:.2f} s, answers within "
        f"{measured.prediction_seconds:.3f} s{memory}."
    )


def _write_stamped(directory: str, rows: pa.Table, blessing: InfraBlessing) -> None:
    stamped = os.path.join(blessing.uri, STAMPED_MODEL)
    shutil.copytree(directory, stamped)
    write_warmup(stamped, rows)
    blessing.set_int_custom_property("has_model", 1)


def _check(request: RequestSpec | None, directory: str) -> None:
    wanted = request.tensorflow_serving if request is not None else None
    if wanted is None or not os.path.isfile(os.path.join(directory, SAVED_MODEL_FILE)):
        return
    from penstock.models.flavors.tensorflow_flavor import signature_name

    served = signature_name(directory)
    if other := [name for name in wanted.signature_names if name != served]:
        raise ParameterError(
            f"request_spec: the model is served by its signature {served!r}, not by {other[0]!r}",
            hint="Leave signature_names out, or save the function that is to be served as "
            "'serving_default'.",
        )


def _rows(examples: Sequence[Examples], request: RequestSpec) -> pa.Table:
    split = request.split_name or _split_of(examples)
    files = [file for artifact in examples for file in split_files(artifact, split)]
    batch = next(TrainingData(tuple(files)).batches(max(1, request.num_examples)), None)
    if batch is None:
        raise DataError(
            f"the split {split!r} has no rows to ask the model about", path=examples[0].uri
        )
    return pa.Table.from_batches([batch])


def _split_of(examples: Sequence[Examples]) -> str:
    names = split_names(examples[0])
    return names[0] if names and _DEFAULT_SPLIT not in names else _DEFAULT_SPLIT
