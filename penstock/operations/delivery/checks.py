"""What was checked of a pipeline, what came of it, and where that is kept for who deploys."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError, DataError
from penstock.project.tables import read_table
from penstock.safety import bounded, containment
from penstock.safety.opening import replace_below

# Below the project's folder; what is in it can be made again.
FOLDER = Path(".penstock", "ci")
FORMAT = 1


class State(enum.Enum):
    """What came of a check; SKIPPED says that it was not made."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """A check of a pipeline, or of the whole project, and what came of it.

    `message` says what was found, `where` which file or node to look at, and `hint` what to do.
    `left_out` is for a check that was asked to be skipped: whoever needs it does not have it.
    """

    name: str
    state: State
    message: str = ""
    pipeline: str = ""
    profile: str = ""
    where: str = ""
    hint: str = ""
    seconds: float = 0.0
    left_out: bool = False

    def __str__(self) -> str:
        subject = ", ".join(filter(None, (self.pipeline, self.profile)))
        of = f" of {subject}" if subject else ""
        where = f" ({self.where})" if self.where else ""
        text = f"{self.name}{of}: {self.message or self.state.value}{where}"
        text = text if text.endswith((".", "?", "!")) else f"{text}."
        return f"{text} {self.hint}" if self.hint else text


@dataclass(frozen=True)
class CheckRecord:
    """The checks of a pipeline with a fingerprint; `at` is when, in UTC, as ISO 8601 has it."""

    fingerprint: str
    pipeline: str
    checks: tuple[Check, ...]
    commit: str = ""
    at: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against deploying it."""
        return not self.obstacles()

    def obstacles(self) -> list[str]:
        """Return why it should not be deployed: checks that failed, and ones that were left out."""
        if not self.checks:
            return ["nothing was checked"]
        failed = [str(check) for check in self.checks if check.state is State.FAILED]
        missing = [f"{check} It is missing." for check in self.checks if check.left_out]
        return [*failed, *missing]


def record_checks(folder: Path, record: CheckRecord) -> Path:
    """Keep what was checked below a project's folder, in place of what was kept of a fingerprint.

    Whoever reads meanwhile finds one or the other.
    """
    path = _path(folder, record.fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "fingerprint": record.fingerprint,
        "pipeline": record.pipeline,
        "commit": record.commit,
        "at": record.at,
        "passed": record.passed,
        "checks": [as_json(check) for check in record.checks],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    replace_below(str(path.parent), str(path), text)
    return path


def read_checks(folder: Path, fingerprint: str) -> CheckRecord | None:
    """Return what was checked of a pipeline with a fingerprint, None where nothing was.

    Raises:
      DataError: what is kept cannot be read, or is about something else.
    """
    path = _path(folder, fingerprint)
    try:
        content = bounded.parse_json(bounded.read_text(path))
        checks = tuple(check_from(table) for table in content["checks"])
        names = ("fingerprint", "pipeline", "commit", "at")
        told = {name: str(content[name]) for name in names}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(
            f"what was checked cannot be read: {error!r}",
            path=str(path),
            hint="Remove the file and check again: penstock ci check.",
        ) from error
    if content.get("format") != FORMAT or told["fingerprint"] != fingerprint:
        raise DataError(
            f"expected the checks of {fingerprint} in format {FORMAT}, got those of "
            f"{told['fingerprint']} in format {content.get('format')}",
            path=str(path),
            hint="Remove the file and check again: penstock ci check.",
        )
    return CheckRecord(checks=checks, **told)


def _path(folder: Path, fingerprint: str) -> Path:
    name = containment.name(fingerprint, "a fingerprint")
    return folder / FOLDER / "checks" / f"{name}.json"


def as_json(check: Check) -> dict[str, Any]:
    """Return a check as JSON has it; `check_from` reads it."""
    return {**vars(check), "state": check.state.value}


def check_from(table: Mapping[str, Any]) -> Check:
    """Return the check that `as_json` has written.

    Raises:
      ConfigError: it is none.
    """
    return read_table(Check, table)
