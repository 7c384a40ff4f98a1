"""What has happened that a trigger waits for: a function for each kind, which writes nothing.

Only `times` writes, once: since when a line of cron counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from penstock.data import spans
from penstock.data.files import remote
from penstock.errors import ParameterError
from penstock.metadata import journal
from penstock.metadata.alerts import alert_of
from penstock.metadata.protocol import Store
from penstock.metadata.runs import RunRecord, list_runs
from penstock.operations.starting.protocol import RunState
from penstock.operations.triggers.deciding import Evidence
from penstock.operations.triggers.records import Ledger, Record
from penstock.project import cron
from penstock.project.config import Config
from penstock.project.profiles import Profile
from penstock.project.triggers import Trigger, filled

# So many of the newest runs are looked at for one that an upstream pipeline has ended.
_NEWEST_RUNS = 100

# The beginning of the names of journals of the events that have come.
EVENTS = "event"


@dataclass(frozen=True)
class Source:
    """Where and when a trigger looks, and what it has decided before.

    `store` is that of its profile, `other` that of what it waits for. `ledger` are the alerts or
    events that were read before, `done_runs` the runs that were (see `list_runs`).
    """

    name: str
    trigger: Trigger
    config: Config
    store: Store
    other: Store
    records: Sequence[Record]
    now: datetime
    ledger: Ledger
    done_runs: MutableMapping[tuple[int, int], RunRecord]


def evidence(source: Source) -> list[Evidence]:
    """Return what has happened, also what was decided about before.

    Raises:
      PenstockError: it cannot be looked at.
    """
    kinds = {
        "span": _spans,
        "cron": _times,
        "upstream": _upstream,
        "alert": _alerts,
        "event": _events,
    }
    found = kinds[source.trigger.when.kind](source)
    return [_completed(source, item) for item in found]


def events_journal(trigger: str) -> str:
    """Return the journal of the events that a trigger has received."""
    return f"{EVENTS}/{trigger}"


def _completed(source: Source, item: Evidence) -> Evidence:
    """Add what all evidence has, and give it the key that the trigger asks for."""
    local = item.at.astimezone(source.trigger.when.zone)
    always = {
        "TRIGGER": source.name,
        "KEY": item.key,
        "DATE": local.date().isoformat(),
        "TIME": local.isoformat(timespec="seconds"),
    }
    item = replace(item, values={**always, **item.values})
    template = source.trigger.deduplicate
    try:
        return replace(item, key=filled(template, item.values)) if template else item
    except ParameterError:
        # What the key refers to did not come with it; then its own tells it from others.
        return item


def _spans(source: Source) -> Iterator[Evidence]:
    when = source.trigger.when
    for found in spans.find_spans(when.span, str(source.config.folder)):
        changed = datetime.fromtimestamp(found.changed, UTC) if found.changed else source.now
        # What is still being written to has not arrived yet. Objects of a store come all at once.
        if not remote.is_remote(when.span) and source.now - changed < when.quiet_time:
            continue
        version = "" if found.version is None else f".{found.version}"
        values: dict[str, Any] = {
            "SPAN": found.span,
            "VERSION": found.version,
            "FINGERPRINT": found.fingerprint,
        }
        what = f"span {found.span}"
        if version:
            what += f" in version {found.version}"
        if spans.is_of_dates(when.span):
            values["DATE"] = spans.span_to_date(found.span).isoformat()
            what = f"{what} ({values['DATE']})"
        order = (float(found.span), float(found.version or 0))
        yield Evidence(f"{found.span}{version}", min(changed, source.now), what, order, values)


def _times(source: Source) -> Iterator[Evidence]:
    """Yield the times of cron since it was first looked at, or since the last one known.

    Where one of them does not get a run each, only those that may are among them.
    """
    trigger, zone, now = source.trigger, source.trigger.when.zone, source.now
    since = max([_since(source), *(record.evidence.at for record in source.records)])
    if trigger.catch_up == "none":
        since = max(since, now - trigger.late_time)
    line = cron.parse(trigger.when.cron)
    found: list[Evidence] = []
    # Cron goes by the clock on the wall: a time that daylight saving skips comes an hour later.
    end = now.astimezone(zone).replace(tzinfo=None)
    at = line.next(since.astimezone(zone).replace(tzinfo=None))
    while at is not None and at <= end:
        moment = at.replace(tzinfo=zone).astimezone(UTC)
        if since < moment <= now:
            what = f"{at:%Y-%m-%d %H:%M:%S} of cron {trigger.when.cron}"
            found.append(Evidence(moment.isoformat(), moment, what))
        at = line.next(at)
    yield from found if trigger.catch_up == "all" else found[-1:]


def _since(source: Source) -> datetime:
    """Return since when the line of cron counts: since it was first looked at, which is noted."""
    when = source.trigger.when
    line = hashlib.sha256(f"{when.cron} {when.timezone}".encode()).hexdigest()[:16]
    return journal.since(
        source.store,
        line,
        source.now,
        who=source.name,
        about=source.name,
        cron=when.cron,
        timezone=when.timezone,
    )


def _upstream(source: Source) -> Iterator[Evidence]:
    when = source.trigger.when
    profile = source.config.profile(when.profile or source.trigger.profile)
    if profile.kubeflow is not None:
        yield from _upstream_on_kubeflow(profile, when.upstream)
        return
    for run in list_runs(
        source.other,
        pipeline_name=when.upstream,
        most=_NEWEST_RUNS,
        done_runs=source.done_runs,
    ):
        if run.state == "done":
            ended = run.ended.astimezone(UTC)
            yield _run(when.upstream, run.run_id, ended, dict(run.parameters))


def _upstream_on_kubeflow(profile: Profile, name: str) -> Iterator[Evidence]:
    from penstock.operations.starting.kubeflow import ended_runs

    for run in ended_runs(profile, name, _NEWEST_RUNS):
        if run.state is RunState.SUCCEEDED:
            yield _run(name, run.run_id, run.ended, dict(run.parameters))


def _run(pipeline: str, run_id: str, ended: datetime, parameters: dict[str, Any]) -> Evidence:
    values = {"RUN": run_id, "PIPELINE": pipeline, "data": parameters}
    return Evidence(run_id, ended, f"run {run_id} of {pipeline}", values=values)


def _alerts(source: Source) -> Iterator[Evidence]:
    for entry in source.ledger.read(source.other):
        alert = alert_of(entry)
        values = {"ALERT": alert.name, "SEVERITY": alert.severity, "data": dict(alert.data)}
        what = f"alert {alert.name}: {alert.summary}"
        yield Evidence(alert.key, alert.at, what, values=values)


def _events(source: Source) -> Iterator[Evidence]:
    yield from journal.told(source.ledger.read(source.store), event_of)


def event_of(entry: journal.Entry) -> Evidence:
    """Return the event that an entry says has come."""
    said = entry.intent
    values = {
        "ID": said["id"],
        "SOURCE": said["source"],
        "TYPE": said["type"],
        "SUBJECT": said.get("subject"),
        "data": said.get("data"),
    }
    what = f"event {said['id']} of {said['source']}"
    return Evidence(entry.key, datetime.fromisoformat(said["received"]), what, values=values)
