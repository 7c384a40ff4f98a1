"""The tables `sinks` of penstock.toml, and what monitors say of alerts.

[sinks.team]
kind = "slack"                      # or file, webhook, email, alertmanager
url = "${env:SLACK_URL}"
min_severity = "warning"

[monitors.flights.alerts.drift]     # a rule for each kind of measures; all have a default
windows = 3
subjects = ["dep_*"]
who = "data team"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from penstock.errors import ConfigError, ParameterError, suggestion
from penstock.project.tables import read_named_tables
from penstock.safety import secrets

SEVERITIES = ("info", "warning", "critical")

# The severity of an alert by the kind of what was measured, where its rule says none. An estimate
# is no measurement, and what it foretells is told again when the labels are there.
KIND_SEVERITIES: Mapping[str, str] = {
    "quality": "warning",
    "skew": "warning",
    "drift": "warning",
    "predictions": "warning",
    "performance": "critical",
    "estimate": "info",
    "fairness": "warning",
    "latency": "warning",
    "errors": "critical",
    "resources": "warning",
}

SECURITIES = ("starttls", "tls", "none")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_SECRET_HEADERS = ("authorization", "cookie", "token", "secret", "key", "password")

S = TypeVar("S", bound="Sink")


@dataclass(frozen=True)
class AlertRule:
    """When measures of a kind are an alert of their monitor.

    A subject rings when it was an alarm in so many judged windows in a row (`windows`), and is over
    when it was fine in `resolve_windows` of them. `subjects` and `names` are globs of the measures
    that count. Without a `severity` it is that of the kind. `who` says who is responsible; `sinks`
    are the ones that are told, None for all.
    """

    enabled: bool = True
    severity: str = ""
    windows: int = 1
    resolve_windows: int = 1
    subjects: tuple[str, ...] = ("*",)
    names: tuple[str, ...] = ("*",)
    who: str = ""
    sinks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.severity:
            _check_choice("a severity", self.severity, SEVERITIES)
        for name in ("windows", "resolve_windows"):
            if getattr(self, name) < 1:
                raise ParameterError(f"expected {name} of 1 or more, got {getattr(self, name)}")

    def counts(self, subject: str, name: str) -> bool:
        """Whether a measure counts."""
        return any(fnmatchcase(subject, glob) for glob in self.subjects) and any(
            fnmatchcase(name, glob) for glob in self.names
        )


def complete_rules(rules: Mapping[str, AlertRule]) -> dict[str, AlertRule]:
    """Return the rule of every kind of measures, with its severity: what is given, or the default.

    Raises:
      ParameterError: a rule is of a kind that there is not.
    """
    for kind in rules:
        _check_choice("a kind of measures", kind, tuple(KIND_SEVERITIES))
    given = {kind: rules.get(kind, AlertRule()) for kind in KIND_SEVERITIES}
    return {
        kind: replace(rule, severity=rule.severity or KIND_SEVERITIES[kind])
        for kind, rule in given.items()
    }


@dataclass(frozen=True, kw_only=True)
class Sink:
    """Where alerts are sent, and which: those whose names match one of the globs `alerts`.

    What comes within `group_minutes` of the first of it is one message. An alert that is still open
    is said again after `repeat_hours`, with 0 never.
    """

    name: str = ""
    kind: str = ""
    alerts: tuple[str, ...] = ("*",)
    min_severity: str = "info"
    group_minutes: float = 0.0
    repeat_hours: float = 24.0
    send_resolved: bool = True
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        _check_choice("min_severity", self.min_severity, SEVERITIES)
        for name in ("group_minutes", "repeat_hours"):
            if getattr(self, name) < 0:
                raise ParameterError(f"expected {name} of 0 or more, got {getattr(self, name):g}")
        if not 0 < self.timeout_seconds <= 300:
            raise ParameterError(
                f"expected timeout_seconds above 0, and 300 at most, got {self.timeout_seconds:g}"
            )

    def takes(self, name: str, severity: str) -> bool:
        """Whether an alert of a name and a severity is sent to it."""
        rank = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
        return rank >= SEVERITIES.index(self.min_severity) and any(
            fnmatchcase(name, glob) for glob in self.alerts
        )


@dataclass(frozen=True, kw_only=True)
class FileSink(Sink):
    """A file to which a line of JSON is appended for each message."""

    path: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path or self.path.endswith("/"):
            raise ParameterError(f"expected the path of a file, got {self.path!r}")


@dataclass(frozen=True, kw_only=True)
class WebhookSink(Sink):
    """An address that takes a message as a POST of JSON, signed where there is a `secret`."""

    url: str
    secret: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    certificate_authority: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_url(self.url)
        for name, value in self.headers.items():
            plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
            if not plain or not value.isprintable():
                # What it says may be a secret.
                raise ParameterError(f"expected a header in a line, got {name!r}")


@dataclass(frozen=True, kw_only=True)
class SlackSink(Sink):
    """An incoming webhook of Slack, or of what is compatible with it."""

    url: str = field(repr=False)
    certificate_authority: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_url(self.url)


@dataclass(frozen=True, kw_only=True)
class AlertmanagerSink(Sink):
    """A Prometheus Alertmanager, which forgets its alerts when it starts again.

    `labels` are added to those of an alert. `generator_url` is where an alert is explained, with
    {NAME} and {KEY}.
    """

    url: str
    token: str = field(default="", repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    generator_url: str = ""
    certificate_authority: str = ""
    repeat_hours: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_url(self.url)
        for name in self.labels:
            if not (name.isascii() and name.isidentifier()):
                raise ParameterError(
                    f"expected labels of letters, digits and underscores, got {name!r}"
                )


@dataclass(frozen=True, kw_only=True)
class EmailSink(Sink):
    """A server that takes email. `sender` is written `from` in penstock.toml."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 0
    security: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    certificate_authority: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("security", self.security, SECURITIES)
        if not self.to:
            raise ParameterError("expected somebody in `to`, got nobody")
        for address in (self.sender, *self.to):
            if "@" not in address or not address.isprintable():
                raise ParameterError(f"expected an address of email, got {address!r}")
        if not 0 <= self.port < 65536:
            raise ParameterError(f"expected a port below 65536, got {self.port}")
        if self.password and self.security == "none" and self.host not in LOCAL_HOSTS:
            raise ParameterError(
                f"the password would go to {self.host} without TLS",
                hint='Take security = "starttls" or "tls".',
            )

    @property
    def port_number(self) -> int:
        """The port: the one given, or the usual one."""
        return self.port or _PORTS[self.security]


SINKS: Mapping[str, type[Sink]] = {
    "file": FileSink,
    "webhook": WebhookSink,
    "email": EmailSink,
    "slack": SlackSink,
    "alertmanager": AlertmanagerSink,
}


def read_sinks(path: str, tables: Mapping[str, Any]) -> dict[str, Sink]:
    """Return the sinks of penstock.toml, with relative paths counting from its folder.

    Raises:
      ConfigError: a key is unknown, a value is not what is asked for, or a secret is written down.
    """
    read: dict[str, Sink] = {}
    for name, table in tables.items():
        table, kind = _kind_of(path, name, table)
        read |= read_named_tables(kind, {name: table}, group="sinks", noun="a sink", path=path)
        for option, written in _secrets(read[name]):
            _refuse_written(path, f"sinks.{name}.{option}", written)
        read[name] = _at_folder(read[name], Path(path).parent)
    return read


def _kind_of(path: str, name: str, table: Any) -> tuple[Any, type[Sink]]:
    """Return a table as its dataclass has it, and that."""
    key = f"sinks.{name}"
    if not isinstance(table, Mapping):
        raise ConfigError(f"expected a table, got {table!r}", path=path, key=key)
    given = table.get("kind", "")
    if not isinstance(given, str) or given not in SINKS:
        shown = repr(given) if given else "none"
        raise ConfigError(
            f"expected a kind of {', '.join(SINKS)}, got {shown}",
            path=path,
            key=f"{key}.kind",
            hint=suggestion(str(given), SINKS, noun="kind") if given else None,
        )
    if given == "email":
        table = {("sender" if option == "from" else option): v for option, v in table.items()}
        if "sender" not in table:
            raise ConfigError("the key 'from' is missing", path=path, key=key)
    return table, SINKS[given]


def _secrets(sink: Sink) -> Iterator[tuple[str, str]]:
    """Yield the options that have to be references, and what they are."""
    if isinstance(sink, WebhookSink):
        yield "secret", sink.secret
        for name, value in sink.headers.items():
            if any(word in name.lower() for word in _SECRET_HEADERS) and not secrets.names(value):
                yield f"headers.{name}", value
    if isinstance(sink, SlackSink):
        yield "url", sink.url
    if isinstance(sink, AlertmanagerSink):
        yield "token", sink.token
    if isinstance(sink, EmailSink):
        yield "password", sink.password
    if isinstance(sink, (WebhookSink, AlertmanagerSink)):
        yield "url", _password(sink.url)


def _password(url: str) -> str:
    return (urlsplit(url).password or "") if "://" in url else ""


def _refuse_written(path: str, key: str, secret: str) -> None:
    if secret and not secrets.is_reference(secret):
        raise ConfigError(
            "a secret is written down",
            path=path,
            key=key,
            hint="Put it into an environment variable and write ${env:NAME} in its place.",
        )


def _at_folder(sink: Sink, folder: Path) -> Sink:
    if isinstance(sink, FileSink):
        return replace(sink, path=str(folder / sink.path))
    authority = getattr(sink, "certificate_authority", "")
    return replace(sink, certificate_authority=str(folder / authority)) if authority else sink  # type: ignore[call-arg]


def _check_choice(noun: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise ParameterError(
            f"expected {noun} of {', '.join(choices)}, got {given!r}",
            hint=suggestion(given, choices),
        )


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://", "${env:")):
        # It may be a secret, so it is not shown.
        raise ParameterError("expected a url of http or https, or a reference to one")
