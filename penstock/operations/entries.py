"""What the entries of all journals that operations keep are about."""

from __future__ import annotations

from penstock.metadata.alerts import ALERTS, alert_of
from penstock.metadata.inspection import Readers
from penstock.metadata.journal import SINCE, since_of
from penstock.operations.alerts.judging import INCIDENTS, incidents_of
from penstock.operations.alerts.notices import NOTICES, notice_of
from penstock.operations.alerts.silences import SILENCES, read_silence
from penstock.operations.alerts.windows import WINDOWS as JUDGED_WINDOWS
from penstock.operations.alerts.windows import judged_of
from penstock.operations.delivery.records import APPROVAL, DEPLOY, approval_of, deployment_of
from penstock.operations.monitors.records import JUDGEMENTS, judgement_of
from penstock.operations.releases.records import RELEASES, STEPS, release_of, step_of
from penstock.operations.triggers.records import TRIGGERS, record_of
from penstock.operations.triggers.sources import EVENTS, event_of

# By the beginning of the journal's name.
READERS: Readers = {
    ALERTS: alert_of,
    APPROVAL: approval_of,
    DEPLOY: deployment_of,
    EVENTS: event_of,
    INCIDENTS: incidents_of,
    JUDGED_WINDOWS: judged_of,
    JUDGEMENTS: lambda entry: judgement_of(entry.journal.split("/")[1], entry),
    NOTICES: notice_of,
    RELEASES: release_of,
    SILENCES: read_silence,
    SINCE: since_of,
    STEPS: step_of,
    TRIGGERS: record_of,
}
