"""The tables `triggers` of penstock.toml: what starts runs without anybody's doing.

[triggers.new_month]
when = { span = "data/span-{SPAN}" }    # or { cron = "0 6 * * 1", timezone = "Europe/Zurich" },
run = "flights"                         # { upstream = "ingestion" }, { event = "com.acme.*" }
parameters = { span = "{SPAN}" }

[triggers.drifted]
when = { alert = "flights.drift" }
run = "flights"
profile = "cluster"
cool_down_hours = 24
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from penstock.errors import ConfigError, ParameterError, suggestion
from penstock.project import cron
from penstock.project.intervals import parse_interval
from penstock.project.tables import read_table

# A name is part of the store's names, which some databases compare without regard to case.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_REFERENCE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_DATA = re.compile(r"data(\.[\w-]+)+")

# What templates may refer to, by the kind of what is waited for.
_ALWAYS = ("TRIGGER", "KEY", "DATE", "TIME")
KINDS: Mapping[str, tuple[str, ...]] = {
    "span": ("SPAN", "VERSION", "FINGERPRINT"),
    "cron": (),
    "upstream": ("RUN", "PIPELINE"),
    "alert": ("ALERT", "SEVERITY"),
    "event": ("ID", "SOURCE", "TYPE", "SUBJECT"),
}
# Of these, `data.NAME` is a value that came with them.
_WITH_DATA = ("alert", "event", "upstream")

POLICIES = ("skip", "queue", "replace")
CATCH_UPS = ("none", "last", "all")


@dataclass(frozen=True)
class When:
    """What a trigger waits for: one of `span`, `cron`, `upstream`, `alert` and `event`.

    `span` is a path or URL with {SPAN}, or {YYYY}, {MM} and {DD}, and perhaps {VERSION}; what it
    names is a file or a folder of files, of which none has changed for as long as `quiet`.
    `cron` has five or six fields. `upstream` is the name of a pipeline whose runs succeed, `alert`
    that of an alert, `event` the type of a CloudEvent, with * for any part of it. `profile` is the
    one whose store or server has the upstream runs or the alerts; by default the trigger's.
    Days, and the times of cron, are those of `timezone`.
    """

    span: str = ""
    cron: str = ""
    upstream: str = ""
    alert: str = ""
    event: str = ""
    profile: str = ""
    timezone: str = "UTC"
    quiet: str = "10s"

    def __post_init__(self) -> None:
        given = [kind for kind in KINDS if getattr(self, kind)]
        if len(given) != 1:
            raise ParameterError(
                f"expected one of {', '.join(KINDS)}, got "
                f"{' and '.join(given) if given else 'none of them'}"
            )
        if self.cron:
            cron.parse(self.cron)
        try:
            self.zone  # noqa: B018
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ParameterError(
                f"expected a time zone as UTC or Europe/Zurich, got {self.timezone!r}"
            ) from None
        self.quiet_time  # noqa: B018
        if self.profile and self.kind not in ("upstream", "alert"):
            raise ParameterError(f"{self.kind} is in no profile's store; leave `profile` out of it")

    @property
    def kind(self) -> str:
        """Which of the kinds it is."""
        return next(kind for kind in KINDS if getattr(self, kind))

    @property
    def what(self) -> str:
        """What is waited for, in words."""
        return f"{self.kind} {getattr(self, self.kind)}"

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose days count."""
        return ZoneInfo(self.timezone)

    @property
    def quiet_time(self) -> timedelta:
        """How long the files of a span must not have changed."""
        return _interval(self.quiet)


@dataclass(frozen=True)
class Trigger:
    """A trigger: it starts runs of the pipeline `run`, under `profile`, when something happens.

    `parameters` are those of its runs. They, and `deduplicate`, may refer to what happened, as in
    "{SPAN}"; what gives the same text for `deduplicate` starts one run.

    `catch_up` says what becomes of what cannot start a run at once, because nobody looked, of the
    cool-down or of the limit: of `all` each gets its run later, of `last` the last one does, and of
    `none` nothing does. With `none`, what happened longer than `late_after` ago is left out too.
    `concurrency` says what happens while a run of the trigger is under way: `queue` waits for its
    end, `skip` starts none, `replace` ends it. `cool_down`, or `cool_down_hours`, is the time from
    one start to the next, and `limit_a_day` how many there are in a day.
    """

    when: When
    run: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    profile: str = ""
    cool_down: str = ""
    cool_down_hours: float = 0.0
    concurrency: str = "queue"
    catch_up: str = "last"
    late_after: str = "1h"
    limit_a_day: int | None = None
    deduplicate: str = ""

    def __post_init__(self) -> None:
        _check_choice("concurrency", self.concurrency, POLICIES)
        _check_choice("catch_up", self.catch_up, CATCH_UPS)
        if self.cool_down and self.cool_down_hours:
            raise ParameterError("expected either cool_down or cool_down_hours, got both")
        if self.cool_down_hours < 0:
            raise ParameterError(
                f"expected cool_down_hours of 0 or more, got {self.cool_down_hours}"
            )
        if self.limit_a_day is not None and self.limit_a_day < 1:
            raise ParameterError(f"expected limit_a_day of 1 or more, got {self.limit_a_day}")
        if self.catch_up == "all" and self.concurrency != "queue":
            raise ParameterError(
                f'catch_up = "all" starts a run for each, and concurrency = "{self.concurrency}" '
                "would leave some without one",
                hint='Take concurrency = "queue" with it.',
            )
        self.cool_down_time, self.late_time  # noqa: B018
        for name, value in self.parameters.items():
            _check_plain(name, value)
        for text in _texts((self.parameters, self.deduplicate)):
            self._check_references(text)

    @property
    def cool_down_time(self) -> timedelta:
        """The time that has to go by from one start to the next."""
        return _interval(self.cool_down) or timedelta(hours=self.cool_down_hours)

    @property
    def late_time(self) -> timedelta:
        """How long after something happened it is too late to start a run without catching up."""
        return _interval(self.late_after)

    def _check_references(self, text: str) -> None:
        kind = self.when.kind
        known = (*_ALWAYS, *KINDS[kind])
        for match in _REFERENCE.finditer(text):
            name = match.group(1)
            if name is None or name in known or (kind in _WITH_DATA and _DATA.fullmatch(name)):
                continue
            raise ParameterError(
                f"{text!r} refers to {{{name}}}, which a trigger that waits for {kind} does not "
                "have",
                hint=suggestion(name, [*known, *(["data.NAME"] if kind in _WITH_DATA else [])]),
            )


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with values in the place of what it refers to, at any depth.

    Two braces stand for one.

    Raises:
      ParameterError: it refers to something that did not come with what happened.
    """
    if isinstance(template, Mapping):
        return {name: filled(item, values) for name, item in template.items()}
    if isinstance(template, (list, tuple)):
        return [filled(item, values) for item in template]
    if not isinstance(template, str):
        return template

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        return match.group(0)[0] if name is None else str(_looked_up(name, values, template))

    return _REFERENCE.sub(value_of, template)


def read_triggers(path: str, tables: Any) -> dict[str, Trigger]:
    """Read the tables `triggers` of a penstock.toml.

    Raises:
      ConfigError: a name, a key or a value is not what it should be.
    """
    triggers = {}
    for name, table in tables.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(
                "expected a name of small letters, digits, dashes and underscores, 60 at most, got "
                f"{name!r}",
                path=path,
                key="triggers",
            )
        triggers[name] = read_table(Trigger, table, key=f"triggers.{name}", path=path)
    return triggers


def _looked_up(name: str, values: Mapping[str, Any], template: str) -> Any:
    value: Any = values
    for part in [name] if name in values else name.split("."):
        if not isinstance(value, Mapping) or value.get(part) is None:
            raise ParameterError(f"{template!r} refers to {{{name}}}, which did not come with it")
        value = value[part]
    return value


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        yield from _texts(list(template.values()))
    elif isinstance(template, (list, tuple)):
        for item in template:
            yield from _texts(item)


def _check_plain(name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for item in value.values():
            _check_plain(name, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_plain(name, item)
    elif not isinstance(value, (str, int, float, bool)):
        raise ParameterError(
            f"expected parameter {name!r} to be a text, a number, true or false, got {value!r}",
            hint="Put quotes around a date or a time.",
        )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ParameterError(
            f"expected {name} to be one of {', '.join(choices)}, got {value!r}",
            hint=suggestion(value, choices, noun="value"),
        )


def _interval(text: str) -> timedelta:
    return timedelta(seconds=parse_interval(text)) if text and text != "0s" else timedelta()
