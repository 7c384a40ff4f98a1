"""Messages as YAML that every reader takes for the same."""

from __future__ import annotations

import re
from typing import Any

# What every YAML takes for a text as it stands, and what it takes for lines.
_WORD = re.compile(
    r"(?!(?:yes|no|on|off|true|false|null|inf|infinity|nan)$)[A-Za-z]{2,}[A-Za-z0-9_./-]*",
    re.IGNORECASE,
)
_LINES = re.compile(r"[!-~](?:[ -~]*[!-~])?\n(?:(?:[ -~]*[!-~])?\n)*(?:[ -~]*[!-~])?")


def as_yaml(message: Any) -> str:
    """Return a message as a YAML document; the same text for the same message."""
    return yaml_of(_plain(as_dict(message)))


def yaml_of(content: Any) -> str:
    """Return plain values as a YAML document that every reader takes for them."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts so that every reader takes them for texts, whichever YAML it reads."""

    Dumper.add_representer(str, _represent_text)
    return yaml.dump(content, Dumper=Dumper, sort_keys=True, width=100)


def _represent_text(dumper: Any, text: str) -> Any:
    """Write a text of several plain lines as it reads, a plain word as it is, all else in quotes.

    Readers differ in what is a number, a date or a yes (`1e3`, `0o7`, `1_000`, `y`), and in which
    characters end a line.
    """
    if _LINES.fullmatch(text):
        style: str | None = "|"
    else:
        style = None if _WORD.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _plain(value: Any) -> Any:
    """Return JSON in which whole numbers are written alike, whatever protobuf makes of them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_dict(message: Any) -> dict[str, Any]:
    """Return a message as JSON."""
    from google.protobuf import json_format

    content: dict[str, Any] = json_format.MessageToDict(message)
    return content
