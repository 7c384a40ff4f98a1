"""The tables `monitors` of penstock.toml: what is watched of a model that serves.

[monitors.flights]
log = "deployments.flights"     # whose prediction log; or the folder of a model in one
window = "1d"
baseline = "training"           # or "previous", "flights@3", or a pattern of Parquet files

[monitors.flights.drift]
test = "js"
threshold = 0.05

[monitors.flights.labels]
source = "labels/month-{SPAN}"
key = { id = "log/request_id" }
label = "late"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError, ParameterError, suggestion
from penstock.project.alerting import AlertRule, complete_rules
from penstock.project.deployments import Deployment
from penstock.project.intervals import parse_interval
from penstock.project.prediction_log import LOG_SPANS, SPAN_SECONDS
from penstock.project.tables import read_named_tables

TRAINING = "training"
PREVIOUS = "previous"
MONTH = "month"
_VERSION = re.compile(r"[^@/*]+@[^@/*]+")
_DEPLOYMENT = "deployments."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

JS = "js"
PSI = "psi"
LINF = "linf"
KS = "ks"
TESTS = (JS, PSI, LINF, KS)
# A change of so much is usually worth a look: of psi by the rule of thumb of credit scoring.
THRESHOLDS = {JS: 0.02, PSI: 0.2, LINF: 0.1, KS: 0.1}
CORRECTIONS = ("holm", "none")


@dataclass(frozen=True)
class FeatureTest:
    """How a feature is tested, where it is not as the others are; what is None is as theirs."""

    test: str | None = None
    threshold: float | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        if self.test is not None:
            _check_choice("test", self.test, TESTS)


@dataclass(frozen=True)
class DriftTests:
    """How distributions are compared.

    `test` is `js`, the Jensen-Shannon divergence in bits, `psi`, the population stability index,
    `linf`, the largest difference of shares, or `ks`, the largest distance of the distribution
    functions of numbers; what is no number is then tested by `linf`. Without `threshold` it is
    0.02, 0.2, 0.1 and 0.1. `features` are exceptions, by name or pattern, `without`
    such patterns of what is not compared. An alarm has a chance of `chance` at most, `correction`
    being `holm` or `none`. With fewer rows than `rows` nothing is said.
    """

    enabled: bool = True
    test: str = JS
    threshold: float | None = None
    features: dict[str, FeatureTest] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    chance: float = 0.01
    correction: str = "holm"
    rows: int = 100
    bins: int = 10

    def __post_init__(self) -> None:
        _check_choice("test", self.test, TESTS)
        _check_choice("correction", self.correction, CORRECTIONS)
        _check_chance(self.chance)
        if self.bins < 2:
            raise ParameterError(f"expected two bins or more, got {self.bins}")

    def of(self, feature: str) -> FeatureTest:
        """Return how a feature is tested: by its name, else by the first pattern that fits it."""
        if any(fnmatchcase(feature, pattern) for pattern in self.without):
            return FeatureTest(enabled=False)
        fitting = (e for pattern, e in self.features.items() if fnmatchcase(feature, pattern))
        exception = self.features.get(feature) or next(fitting, FeatureTest())
        test = exception.test or self.test
        same = exception.test in (None, self.test)
        default = self.threshold if same and self.threshold is not None else THRESHOLDS[test]
        threshold = default if exception.threshold is None else exception.threshold
        return FeatureTest(test, threshold, exception.enabled)


@dataclass(frozen=True)
class QualityTests:
    """How much of what is asked may be other than it should be.

    What it should be, a schema says; without one, the rows that the model was trained on. An alarm
    is a feature of which a larger share of rows than `tolerance` is missing, unheard of or out of
    range, and that with a chance of at most `chance` would be so if the share were the tolerated
    one. `features` are tolerances of single features, by name or pattern; `without` are patterns
    of what is not looked at. `environment` is one of the schema's.
    """

    enabled: bool = True
    tolerance: float = 0.01
    features: dict[str, float] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    environment: str | None = None
    chance: float = 0.01
    rows: int = 20

    def __post_init__(self) -> None:
        _check_chance(self.chance)
        for tolerance in (self.tolerance, *self.features.values()):
            if not 0 <= tolerance < 1:
                raise ParameterError(f"expected a tolerance of 0 to below 1, got {tolerance:g}")

    def of(self, feature: str) -> float | None:
        """Return the tolerance of a feature; None for one that is not looked at."""
        if any(fnmatchcase(feature, pattern) for pattern in self.without):
            return None
        fitting = (t for pattern, t in self.features.items() if fnmatchcase(feature, pattern))
        return self.features.get(feature, next(fitting, self.tolerance))


@dataclass(frozen=True)
class Labels:
    """Where it is said how things came out, often long after they were predicted.

    `source` is a pattern of CSV or Parquet files below `folder`, with {SPAN}, or {YYYY}, {MM} and
    {DD}, if they come bit by bit. A row of them belongs to the row of the log that has the same in
    the columns `key`, names there by names here; of several the last one counts, by span. `label`
    is the column of the outcome. `positive` is the outcome that the score is the probability of,
    where that is neither 1 nor said by the model. A row waits for its label as long as `wait` after
    its window.
    """

    source: str
    label: str
    key: dict[str, str] = field(default_factory=lambda: {"request_id": "log/request_id"})
    folder: str = ""
    positive: str = ""
    wait: str = "90d"

    def __post_init__(self) -> None:
        parse_interval(self.wait)
        if not self.key:
            raise ParameterError("expected a key of one column or more, got none")


@dataclass(frozen=True)
class Limits:
    """What a metric should not be beyond; its interval has to be beyond for an alarm.

    `worse_by` is by what share it may be worse than on the data that the model was evaluated on.
    """

    at_least: float | None = None
    at_most: float | None = None
    worse_by: float | None = None


@dataclass(frozen=True)
class PerformanceTests:
    """How good predictions should be.

    `metrics` are names of the Evaluator's, with their limits. Without, they are AUC,
    BinaryAccuracy and Calibration of two classes, Accuracy of more, MeanAbsoluteError and
    RootMeanSquaredError of numbers, and all but Calibration may be worse by a tenth. `slices` are
    of columns, each alone or several together. With `estimate` it is also said how good
    predictions without labels are likely to be. With fewer rows than `rows` nothing is said.
    """

    enabled: bool = True
    metrics: dict[str, Limits] = field(default_factory=dict)
    slices: tuple[tuple[str, ...], ...] = ()
    estimate: bool = True
    rows: int = 100
    confidence: float = 0.99

    def __post_init__(self) -> None:
        if not 0.5 < self.confidence < 1:
            raise ParameterError(f"expected a confidence of 0.5 to 1, got {self.confidence:g}")


@dataclass(frozen=True)
class FairnessTests:
    """How unlike a model may treat groups: those of each of the columns `groups`.

    Measured are the differences of the largest and the smallest share: of rows that are predicted
    positive, of those among the truly positive ones, and among the truly negative ones. An alarm is
    a difference that surely is above `gap`. Groups of fewer than `rows` rows are left out.
    """

    enabled: bool = True
    groups: tuple[str, ...] = ()
    gap: float = 0.2
    rows: int = 100
    confidence: float = 0.99


@dataclass(frozen=True)
class TrafficLimits:
    """What a server may take, by its own measures of a window.

    `errors` is the share of requests that it is to blame for, `latency` has the most seconds of
    quantiles, `memory_megabytes` the most memory of its processes, `cpu` the most cores that they
    keep busy. What is None is measured, and never an alarm.
    """

    enabled: bool = True
    errors: float | None = 0.01
    bad_requests: float | None = 0.2
    latency: dict[str, float] = field(default_factory=dict)
    memory_megabytes: float | None = None
    cpu: float | None = None
    requests: int = 100
    chance: float = 0.01

    def __post_init__(self) -> None:
        _check_chance(self.chance)
        for name in self.latency:
            _check_choice("quantile", name, ("p50", "p90", "p99"))


@dataclass(frozen=True)
class Monitor:
    """What is watched of a model that serves, by its prediction log.

    `log` is `deployments.NAME`, or the folder or URL of the model in a log whose spans are
    `log_span`. `model` is the registered model, or the folder that it is pushed to. A `window` is a
    whole number of spans, or a calendar `month`, and is judged `grace` after its end, and again
    when more has come.
    `baseline` is `training`, the data that the version was made from which answered most;
    `previous`, the window before; `NAME@VERSION`, the data that this version was made from; or a
    pattern of Parquet files.
    """

    log: str = ""
    log_span: str = ""
    model: str = ""
    profile: str = ""
    window: str = "1d"
    grace: str = "10m"
    baseline: str = TRAINING
    baseline_splits: tuple[str, ...] = ()
    quality: QualityTests = field(default_factory=QualityTests)
    drift: DriftTests = field(default_factory=DriftTests)
    predictions: DriftTests = field(default_factory=DriftTests)
    labels: Labels | None = None
    performance: PerformanceTests = field(default_factory=PerformanceTests)
    fairness: FairnessTests = field(default_factory=FairnessTests)
    traffic: TrafficLimits = field(default_factory=TrafficLimits)
    alerts: Mapping[str, AlertRule] = field(default_factory=dict)
    most_rows: int = 200_000
    name: str = ""

    def __post_init__(self) -> None:
        parse_interval(self.grace)
        if self.window != MONTH:
            parse_interval(self.window)
        if self.log_span:
            _check_choice("log_span", self.log_span, LOG_SPANS)
        if self.most_rows < 1:
            raise ParameterError(f"expected most_rows of 1 or more, got {self.most_rows}")

    @property
    def pipeline(self) -> str:
        """The name of the pipeline that judges a window of it."""
        return f"monitor-{self.name}"

    def window_with(self, span: int) -> tuple[int, int]:
        """Return the first and the last span of the window that a span is in."""
        length = SPAN_SECONDS[self.log_span or "day"]
        if self.window == MONTH:
            day = _EPOCH + timedelta(seconds=span * length)
            begin = day.replace(day=1, hour=0)
            end = (begin + timedelta(days=32)).replace(day=1)
            hours = [int((at - _EPOCH).total_seconds()) // length for at in (begin, end)]
            return hours[0], hours[1] - 1
        spans = parse_interval(self.window) // length
        first = span // spans * spans
        return first, first + spans - 1

    @property
    def baseline_version(self) -> str:
        """The version of a registered model that the baseline is of, or nothing."""
        return self.baseline if _VERSION.fullmatch(self.baseline) else ""

    @property
    def baseline_files(self) -> str:
        """The pattern of the files that are the baseline, or nothing."""
        is_other = self.baseline in (TRAINING, PREVIOUS) or self.baseline_version
        return "" if is_other else self.baseline


def read_monitors(
    path: str, tables: Mapping[str, Any], deployments: Mapping[str, Deployment]
) -> dict[str, Monitor]:
    """Return the monitors of penstock.toml, with relative paths counting from its folder.

    What a monitor takes from its deployment is filled in: log, span, model, and which columns the
    log does not keep as they are, which are not compared with other data than the log's.

    Raises:
      ConfigError: a key is unknown, a value is not what is asked for, or the log is not known.
    """
    read = read_named_tables(Monitor, tables, group="monitors", noun="a monitor", path=path)
    return {
        name: _completed(monitor, path, f"monitors.{name}", deployments)
        for name, monitor in read.items()
    }


def _completed(
    monitor: Monitor, path: str, key: str, deployments: Mapping[str, Deployment]
) -> Monitor:
    folder = Path(path).parent
    log = monitor.log or (f"{_DEPLOYMENT}{monitor.name}" if monitor.name in deployments else "")
    if not log:
        raise ConfigError(
            "the key 'log' is missing",
            path=path,
            key=key,
            hint='It is "deployments.NAME", or the folder of a model in a prediction log.',
        )
    if log.startswith(_DEPLOYMENT):
        monitor = _of_deployment(monitor, log, path, key, deployments)
    else:
        name = log.rstrip("/").rsplit("/", 1)[-1]
        monitor = replace(
            monitor,
            log=_at(folder, log),
            model=monitor.model or name,
            log_span=monitor.log_span or "day",
        )
    is_whole = monitor.window == MONTH or not (
        parse_interval(monitor.window) % SPAN_SECONDS[monitor.log_span]
    )
    if not is_whole:
        raise ConfigError(
            f"expected whole {monitor.log_span}s, as the log is written by {monitor.log_span}, got "
            f"{monitor.window!r}",
            path=path,
            key=f"{key}.window",
        )
    try:
        rules = complete_rules(monitor.alerts)
    except ParameterError as error:
        raise ConfigError(error.message, path=path, key=f"{key}.alerts", hint=error.hint) from None
    labels = monitor.labels
    if labels is not None:
        base = "" if "://" in labels.source else str(folder / labels.folder)
        labels = replace(labels, folder=base)
    files = monitor.baseline_files
    baseline = _at(folder, files) if files else monitor.baseline
    return replace(monitor, alerts=rules, labels=labels, baseline=baseline)


def _of_deployment(
    monitor: Monitor, log: str, path: str, key: str, deployments: Mapping[str, Deployment]
) -> Monitor:
    name = log.removeprefix(_DEPLOYMENT)
    if name not in deployments:
        raise ConfigError(
            f"there is no deployment {name!r}",
            path=path,
            key=f"{key}.log",
            hint=suggestion(name, deployments, noun="deployment"),
        )
    deployment = deployments[name]
    if deployment.log is None:
        raise ConfigError(
            f"the deployment {name} keeps no log",
            path=path,
            key=f"{key}.log",
            hint=f'Give it one: [deployments.{name}.log] with folder = "log".',
        )
    options = deployment.log
    altered = (*options.hashed, *options.truncated)
    served = deployment.local.name or deployment.model
    return replace(
        monitor,
        log=f"{options.folder.rstrip('/')}/{served}",
        log_span=options.span,
        model=monitor.model or deployment.model,
        quality=replace(monitor.quality, without=(*monitor.quality.without, *altered)),
        drift=replace(
            monitor.drift,
            without=monitor.drift.without
            if monitor.baseline == PREVIOUS
            else (*monitor.drift.without, *altered),
        ),
    )


def _at(folder: Path, text: str) -> str:
    return text if "://" in text else str(folder / text)


def _check_choice(what: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise ParameterError(
            f"expected a {what} of {', '.join(choices)}, got {given!r}",
            hint=suggestion(given, choices, noun=what),
        )


def _check_chance(chance: float) -> None:
    if not 0 < chance < 1:
        raise ParameterError(f"expected a chance between 0 and 1, got {chance:g}")
