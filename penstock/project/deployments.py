"""The tables `deployments` of penstock.toml: where models serve, and how new versions get there.

[deployments.flights]
model = "flights"                   # by default the deployment's name
environment = "production"          # whose store and alias count
target = "local"                    # or filesystem, kserve
release = { shadow = "100%", hours = 1, canary = [5, 25, 50], bake_minutes = 30 }

[deployments.flights.local]
state = ".penstock/serving"         # of penstock serve; or url and token

[deployments.flights.log]           # see penstock/project/prediction_log.py
folder = "log"

[deployments.flights.gates.latency]
quantile = 0.95
ratio = 1.25

[deployments.flights.gates.business.bookings]
command = ["python", "bookings.py"]
tolerance = 0.01
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError, ParameterError, RegistryError, suggestion
from penstock.project.model_names import check_model_name
from penstock.project.prediction_log import LogOptions
from penstock.project.tables import read_named_tables
from penstock.safety import secrets

TARGETS = ("local", "filesystem", "kserve")

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%?")


@dataclass(frozen=True)
class ReleaseOptions:
    """The stages of a release, where the command that starts it says no others.

    The shadow gets copies of so many percent of the requests for so many hours; then the canary
    answers each of its shares for as long as it bakes. `key` names what makes a caller:
    `header:NAME`, or `column:NAME` of plain rows, so that who was answered by the canary still is
    when its share grows. A stage that has not enough evidence after `give_up_hours` ends the
    release, and what served before goes on.
    """

    shadow: str = ""
    hours: float = 1.0
    canary: tuple[float, ...] = ()
    bake_minutes: float = 30.0
    key: str = ""
    give_up_hours: float = 24.0

    def __post_init__(self) -> None:
        self.shadow_percent  # noqa: B018
        check_shares(self.canary)
        for name in ("hours", "bake_minutes", "give_up_hours"):
            if getattr(self, name) < 0:
                raise ParameterError(f"expected {name} of 0 or more, got {getattr(self, name):g}")
        if self.key and not self.key.startswith(("header:", "column:")):
            raise ParameterError(f"expected a key as header:NAME or column:NAME, got {self.key!r}")

    @property
    def shadow_percent(self) -> float:
        """How many percent of the requests are copied, 0 for no shadow."""
        return parse_percent(self.shadow) if self.shadow else 0.0


@dataclass(frozen=True)
class ErrorsGate:
    """How much larger the share of answers with errors may be than that of what serves.

    `requests` are needed of each version before it can hold.
    """

    enabled: bool = True
    tolerance: float = 0.02
    requests: int = 100

    def __post_init__(self) -> None:
        _check_not_negative(self, "tolerance", "requests")


@dataclass(frozen=True)
class LatencyGate:
    """How many times the latency of what serves a quantile may be, and `seconds` beyond that."""

    enabled: bool = True
    quantile: float = 0.95
    ratio: float = 1.25
    seconds: float = 0.005
    requests: int = 100

    def __post_init__(self) -> None:
        _check_not_negative(self, "seconds", "requests")
        if not 0 < self.quantile < 1:
            raise ParameterError(f"expected a quantile between 0 and 1, got {self.quantile:g}")
        if self.ratio < 1:
            raise ParameterError(f"expected a ratio of 1 or more, got {self.ratio:g}")


@dataclass(frozen=True)
class DriftGate:
    """How far the distribution of predictions may be from that of what serves.

    `test` is `js`, the Jensen-Shannon divergence in bits, or `psi`, the population stability index.
    `agreement` is the least share of rows, of 0 to 1, whose prediction a shadow has to share.
    """

    enabled: bool = True
    test: str = "js"
    threshold: float = 0.1
    agreement: float = 0.0
    rows: int = 100

    def __post_init__(self) -> None:
        _check_not_negative(self, "rows", "agreement")
        if self.test not in ("js", "psi"):
            raise ParameterError(
                f"expected a test of js or psi, got {self.test!r}",
                hint=suggestion(self.test, ("js", "psi"), noun="test"),
            )
        if self.threshold <= 0:
            raise ParameterError(f"expected a threshold above 0, got {self.threshold:g}")
        if self.agreement > 1:
            raise ParameterError(f"expected an agreement of 1 at most, got {self.agreement:g}")


@dataclass(frozen=True)
class BusinessGate:
    """A number of each version that somebody else knows, as bookings for each request.

    It comes from the output of a `command`, or from a `file` or `url`: a JSON object with a number
    for each version by its number, or an object with `value`, and `lower` and `upper`, its interval
    at 95 %. It may be worse than that of what serves by `tolerance`, and has to be `at_least` and
    `at_most` so much.
    """

    command: tuple[str, ...] = ()
    file: str = ""
    url: str = ""
    tolerance: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        if sum(map(bool, (self.command, self.file, self.url))) != 1:
            raise ParameterError("expected one of command, file and url")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ParameterError(f"expected a url of http or https, got {self.url!r}")
        if self.tolerance is not None and self.tolerance < 0:
            raise ParameterError(f"expected a tolerance of 0 or more, got {self.tolerance:g}")


@dataclass(frozen=True)
class Gates:
    """What a release has to pass; all of it is decided with `confidence`.

    `alerts` are names of alerts: one that is raised while a stage lasts is an alarm.
    """

    errors: ErrorsGate = field(default_factory=ErrorsGate)
    latency: LatencyGate = field(default_factory=LatencyGate)
    drift: DriftGate = field(default_factory=DriftGate)
    business: Mapping[str, BusinessGate] = field(default_factory=dict)
    alerts: tuple[str, ...] = ()
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.5 < self.confidence < 1:
            raise ParameterError(f"expected a confidence of 0.5 to 1, got {self.confidence:g}")


@dataclass(frozen=True)
class LocalTarget:
    """A server of `penstock serve`: the folder of its state, or its address and its token.

    With the folder, which only its owner reads, address and token are found there each time.
    """

    state: str = ".penstock/serving"
    url: str = ""
    token: str = ""
    name: str = ""


@dataclass(frozen=True)
class FilesystemTarget:
    """A folder that TensorFlow Serving watches: versions by number below the model's name.

    `config` is its model_config file, by default `models.config` in the folder. `base_path` is
    where the server sees the folder of the model, if that is not where we do. With `url`, the
    address of its REST API, a version is ready when the server says so.
    """

    folder: str = ""
    config: str = ""
    base_path: str = ""
    url: str = ""
    name: str = ""


@dataclass(frozen=True)
class KServeTarget:
    """An InferenceService of KServe.

    Without `url` the API of the cluster is asked in which this process is a pod.
    `certificate_authority` is a file.
    """

    service: str = ""
    namespace: str = ""
    model_format: str = ""
    runtime: str = ""
    url: str = ""
    token: str = ""
    certificate_authority: str = ""


@dataclass(frozen=True)
class EvidenceSource:
    """Where evidence comes from that a target cannot give: a JSON object, as servers give it."""

    command: tuple[str, ...] = ()
    file: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.command, self.file, self.url))) > 1:
            raise ParameterError("expected one of command, file and url")


@dataclass(frozen=True)
class Deployment:
    """Where a model serves, and how a new version of it gets there."""

    model: str = ""
    environment: str = ""
    target: str = "local"
    release: ReleaseOptions = field(default_factory=ReleaseOptions)
    gates: Gates = field(default_factory=Gates)
    local: LocalTarget = field(default_factory=LocalTarget)
    filesystem: FilesystemTarget = field(default_factory=FilesystemTarget)
    kserve: KServeTarget = field(default_factory=KServeTarget)
    evidence: EvidenceSource = field(default_factory=EvidenceSource)
    log: LogOptions | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ParameterError(
                f"expected a target of {', '.join(TARGETS)}, got {self.target!r}",
                hint=suggestion(self.target, TARGETS, noun="target"),
            )


def _check_not_negative(gate: Any, *names: str) -> None:
    for name in names:
        if getattr(gate, name) < 0:
            raise ParameterError(f"expected {name} of 0 or more, got {getattr(gate, name):g}")


def parse_percent(text: str) -> float:
    """Return the number of a text as 5% or 5.

    Raises:
      ParameterError: it is none of 0 to 100.
    """
    match = _PERCENT.fullmatch(text.strip())
    if match is None or not 0 <= float(match.group(1)) <= 100:
        raise ParameterError(f"expected a share of 0% to 100%, got {text!r}")
    return float(match.group(1))


def check_shares(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return the shares of a canary, in percent.

    Raises:
      ParameterError: they do not grow, or one is not above 0 and at most 100.
    """
    shown = ", ".join(f"{share:g}" for share in shares)
    if any(not 0 < share <= 100 for share in shares):
        raise ParameterError(f"expected shares above 0 and at most 100 percent, got {shown}")
    if list(shares) != sorted(set(shares)):
        raise ParameterError(f"expected shares that grow, got {shown}")
    return shares


def read_deployments(path: str, tables: Mapping[str, Any]) -> dict[str, Deployment]:
    """Return the deployments of penstock.toml, with relative paths counting from its folder.

    Raises:
      ConfigError: a key is unknown, or a value is not what is asked for.
    """
    deployments = read_named_tables(
        Deployment,
        tables,
        group="deployments",
        noun="a deployment",
        path=path,
        defaults=lambda name: {"model": name},
    )
    for name, deployment in deployments.items():
        _check(deployment, f"deployments.{name}", path)
        deployments[name] = _at_folder(deployment, Path(path).parent)
    return deployments


def _check(deployment: Deployment, key: str, path: str) -> None:
    try:
        check_model_name(deployment.model)
    except RegistryError as error:
        raise ConfigError(error.message, path=path, key=f"{key}.model", hint=error.hint) from None
    if deployment.target == "filesystem" and not deployment.filesystem.folder:
        raise ConfigError("the key 'folder' is missing", path=path, key=f"{key}.filesystem")
    if deployment.target == "kserve" and not (
        deployment.kserve.namespace and deployment.kserve.model_format
    ):
        raise ConfigError(
            "the keys 'namespace' and 'model_format' are needed", path=path, key=f"{key}.kserve"
        )
    for table, token in (("local", deployment.local.token), ("kserve", deployment.kserve.token)):
        if token and not secrets.is_reference(token):
            raise ConfigError(
                "a token is written down",
                path=path,
                key=f"{key}.{table}.token",
                hint="Put it into an environment variable and write ${env:NAME} in its place.",
            )
    if deployment.target != "local" and deployment.release.shadow_percent:
        raise ConfigError(
            f"{deployment.target} sends no copies of requests to a shadow",
            path=path,
            key=f"{key}.release.shadow",
            hint="Leave it out, and begin with a small canary.",
        )


def _at_folder(deployment: Deployment, folder: Path) -> Deployment:
    def at(text: str) -> str:
        return str(folder / text) if text else ""

    gates = deployment.gates
    log = deployment.log
    business = {name: replace(gate, file=at(gate.file)) for name, gate in gates.business.items()}
    return replace(
        deployment,
        gates=replace(gates, business=business),
        local=replace(deployment.local, state=at(deployment.local.state)),
        filesystem=replace(
            deployment.filesystem,
            folder=at(deployment.filesystem.folder),
            config=at(deployment.filesystem.config),
        ),
        kserve=replace(
            deployment.kserve, certificate_authority=at(deployment.kserve.certificate_authority)
        ),
        evidence=replace(deployment.evidence, file=at(deployment.evidence.file)),
        log=None if log is None else replace(log, folder=at(log.folder)),
    )


def served_by(
    deployments: Mapping[str, Deployment], model: str, state: Path
) -> tuple[Deployment, ...]:
    """Return the deployments whose model a server of `penstock serve` has.

    `model` is what the server calls it, and `state` the folder of the server's state.
    """
    return tuple(
        deployment
        for deployment in deployments.values()
        if deployment.target == "local"
        and not deployment.local.url
        and (deployment.local.name or deployment.model) == model
        and Path(deployment.local.state).resolve() == state.resolve()
    )
