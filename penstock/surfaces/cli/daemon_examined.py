"""What `penstock doctor` says of the project's daemon."""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.project.config import Config
from penstock.surfaces.cli.examination import Finding


def daemon(config: Config) -> Finding:
    """Whether there is a daemon, what it has imported, and whether runs use it."""
    from penstock.execution.daemon import asking
    from penstock.surfaces.cli.daemon import described

    try:
        found = asking.status_of(str(config.folder))
    except (PenstockError, OSError) as error:
        return Finding("daemon", "doubtful", f"there can be none: {error}")
    if found is None:
        return Finding("daemon", "unused", "none: the next run makes its own workers")
    runs = f"{found.lent} nurseries lent, {found.under_way} under way"
    description = f"{described(found)}; {', '.join(found.imported) or 'nothing'} imported; {runs}"
    reason = asking.is_off() or found.refuses or found.differs
    if reason:
        advice = f"Runs from here do not use it: {reason}."
        return Finding("daemon", "doubtful", description, advice)
    return Finding("daemon", "fine", description)
