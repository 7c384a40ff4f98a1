"""What a monitor saw, as one HTML file that needs nothing else."""

from __future__ import annotations

from datetime import datetime

from penstock.report.monitor_sections import sections
from penstock.report.monitored import Seen
from penstock.report.page import environment, head
from penstock.report.wording import counted, utc_minute


def page(seen: Seen, made: datetime) -> str:
    """Return what a monitor saw in some windows, of which there is one or more."""
    templates = environment()
    first, last = seen.windows[0].window, seen.windows[-1].window
    title = f"{counted(len(seen.windows), 'window')} from {utc_minute(first.begin)} to "
    return templates.get_template("monitor_report.html").render(
        seen=seen,
        sections=sections(seen),
        title=f"{title}{utc_minute(last.end)} UTC",
        made=made,
        moment=utc_minute,
        alert_links="",
        run_links="",
        all_link="",
        head=head(templates),
    )
