"""What a server says of itself and of its models, in the words of each protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock import __version__
from penstock.models.signature import Signature
from penstock.serving.protocols.inference import tensor_of
from penstock.serving.server.models import ServedModel
from penstock.serving.server.versions import DRAINING, FAILED, LOADING, READY, Version
from penstock.serving.sketches import middle

# The states of TensorFlow Serving, with the code and the words of a status.
_STATES = {
    LOADING: "LOADING",
    READY: "AVAILABLE",
    DRAINING: "UNLOADING",
    FAILED: "END",
}
_TENSORFLOW_TYPES = {
    "bool": "DT_BOOL",
    "int64": "DT_INT64",
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "string": "DT_STRING",
    "binary": "DT_STRING",
}


def of_administration(model: ServedModel) -> dict[str, Any]:
    """Return a model as a release sees it."""
    return {
        "model": model.name,
        "routes": model.routes.to_json() if model.routes else None,
        "versions": {
            str(number): {"state": version.state, "reason": version.reason}
            for number, version in sorted(model.versions.items())
        },
    }


def status(model: ServedModel, number: int | None) -> dict[str, Any]:
    """Return the status of TensorFlow Serving's REST API."""
    return {
        "model_version_status": [
            {
                "version": str(found),
                "state": _STATES[version.state],
                "status": {
                    "error_code": "UNKNOWN" if version.reason or version.trouble else "OK",
                    "error_message": version.reason or version.trouble,
                },
            }
            for found, version in sorted(model.versions.items(), reverse=True)
            if number in (None, found)
        ]
    }


def metadata(model: ServedModel, number: int, version: Version) -> dict[str, Any]:
    """Return the metadata of TensorFlow Serving's REST API."""
    signature = signature_of(version)
    described = {
        "inputs": {c.name: _tensor_info(c) for c in (signature.inputs if signature else ())},
        "outputs": {c.name: _tensor_info(c) for c in (signature.outputs if signature else ())},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(number)},
        "metadata": {"signature_def": {"signature_def": {"serving_default": described}}},
    }


def _tensor_info(column: Any) -> dict[str, Any]:
    sizes = ["-1", *(str(-1 if size is None else size) for size in column.shape)]
    return {
        "dtype": _TENSORFLOW_TYPES[column.type],
        "tensor_shape": {
            "dim": [{"size": size, "name": ""} for size in sizes],
            "unknown_rank": False,
        },
        "name": column.name,
    }


def server_of_inference() -> dict[str, Any]:
    """Return the server's metadata of the Open Inference Protocol."""
    return {"name": "penstock", "version": __version__, "extensions": ["binary_tensor_data"]}


def model_of_inference(model: ServedModel, version: Version) -> dict[str, Any]:
    """Return a model's metadata of the Open Inference Protocol."""
    signature = signature_of(version)
    ready = [str(n) for n, v in sorted(model.versions.items()) if v.is_ready]
    return {
        "name": model.name,
        "versions": ready,
        "platform": f"penstock_{version.facts.get('flavor', 'unknown')}",
        "inputs": [tensor_of(column) for column in (signature.inputs if signature else ())],
        "outputs": [tensor_of(column) for column in (signature.outputs if signature else ())],
    }


def of_rows(model: ServedModel, number: int, version: Version) -> dict[str, Any]:
    """Return how a model is asked by rows: its columns, and a row to begin with."""
    signature = version.facts.get("signature") or {}
    return {
        "model": model.name,
        "version": number,
        "flavor": version.facts.get("flavor"),
        "inputs": signature.get("inputs"),
        "outputs": signature.get("outputs"),
        "example": version.facts.get("example"),
    }


def signature_of(version: Version) -> Signature | None:
    """Return the signature that a version's workers told."""
    entry = version.facts.get("signature")
    return None if entry is None else Signature.from_json(entry)


def metrics(models: Mapping[str, ServedModel]) -> bytes:
    """Return the server's metrics in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    class Collector:
        def collect(self) -> Iterator[Any]:
            answers = CounterMetricFamily(
                "penstock_answers",
                "Answers given, by version, role and HTTP status",
                labels=["model", "version", "role", "status"],
            )
            refusals = CounterMetricFamily(
                "penstock_refusals", "Requests refused since too many waited", labels=["model"]
            )
            waiting = GaugeMetricFamily(
                "penstock_waiting", "Requests that wait for an answer", labels=["model"]
            )
            restarts = CounterMetricFamily(
                "penstock_worker_restarts", "Workers started again", labels=["model", "version"]
            )
            ready = GaugeMetricFamily(
                "penstock_version_ready",
                "Whether a version can answer",
                labels=["model", "version"],
            )
            for name, model in models.items():
                for (version, role, code), count in list(model.totals.items()):
                    answers.add_metric([name, str(version), role, str(code)], count)
                refusals.add_metric([name], model.refusals)
                waiting.add_metric([name], model.waiting())
                for number, found in model.versions.items():
                    restarts.add_metric([name, str(number)], found.restarts)
                    ready.add_metric([name, str(number)], int(found.is_ready))
            yield from (answers, refusals, waiting, restarts, ready)
            yield from _of_log(models)
            yield from (_latency_of(name, model) for name, model in models.items())

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    text: bytes = generate_latest(registry)
    return text


def _of_log(models: Mapping[str, ServedModel]) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily

    logs = {id(m.recorder): m.recorder for m in models.values() if m.recorder is not None}
    if logs:
        yield CounterMetricFamily(
            "penstock_log_dropped",
            "Requests that should be in the prediction log and are not",
            value=sum(recorder.dropped for recorder in logs.values()),
        )


_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _latency_of(name: str, model: ServedModel) -> Any:
    """Return the histogram of a model's answers."""
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(
        "penstock_answer_seconds", "Seconds from a request to its answer", labels=["model"]
    )
    seconds = {middle(key): count for key, count in model.latency.items()}
    buckets = [
        (str(bound), sum(count for value, count in seconds.items() if value <= bound))
        for bound in _BOUNDS
    ]
    buckets.append(("+Inf", sum(seconds.values())))
    family.add_metric([name], buckets, sum(value * count for value, count in seconds.items()))
    return family
