"""Secrets that are written down where a reference to them belongs.

What is given as a parameter is recorded. So who gives a secret itself is warned: its name says what
it is, or its value has a form that nothing else has. What may well be something else, as a
`pad_token` or a path in `private_key`, is not spoken of.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from penstock.errors import WrittenDownWarning
from penstock.safety import secrets

_NAMES = re.compile(
    r"(?:.*[_\-.])?(?:password|passwd|passphrase|secret|(?:secret|api|access|private|signing|account)"
    r"[_-]?key|(?:api|auth|access|bearer|refresh|session|bot|github|gitlab|slack|hf)[_-]?token"
    r"|client[_-]?secret)|token",
    re.IGNORECASE,
)
# Names with capitals in the place of underscores: clientSecret.
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# What stands under such a name and is none: a path, an address without a password, a mark.
_PLAIN = re.compile(
    r"|[\w.~-]*/[^+=]*|\w+://\S*|\S*\.(?:pem|key|crt|json|txt|toml|ya?ml)|[\[<(].*[\])>]"
    r"|true|false|none|null|\d{1,6}",
    re.IGNORECASE | re.DOTALL,
)
_SHORTEST = 4
_FORMS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    "a key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40})"),
    "a token of GitLab": re.compile(r"\bglpat-[\w-]{20}"),
    "a token of Slack": re.compile(r"\bxox[abeoprs]-[\w-]{10}"),
    "a key of Google": re.compile(r"\bAIza[\w-]{35}\b"),
    "a token of Hugging Face": re.compile(r"\bhf_[A-Za-z0-9]{30}"),
    "an address with a password": re.compile(r"\w://[^\s/:@?#]*:(?!\$\{env:)[^\s/@?#]+@"),
}
_REFERS = re.compile(r"(?<!\$)\$\{env:")
_IN_JSON = re.compile(r'"([\w.-]{1,64})"\s*:\s*"((?:[^"\\]|\\.)+)"')


def seems(name: str, text: str) -> str:
    """Return what secret a text seems to be that is given under a name, "" for none."""
    for what, form in _FORMS.items():
        if form.search(text):
            return what
    if _is_secret(name, text):
        return "a secret"
    inner = _IN_JSON.findall(text) if text.lstrip()[:1] in ("{", "[") else ()
    return next((f"a secret, {key!r}" for key, value in inner if _is_secret(key, value)), "")


def warn(places: Iterable[tuple[str, str, Any]]) -> None:
    """Warn of secrets in values, each with where it stands and its name.

    The first place of a text is told: nodes take the parameters of their pipeline.
    """
    told: set[str] = set()
    for where, name, value in places:
        for text in secrets.texts(value):
            what = "" if text in told else seems(name, text)
            if what:
                told.add(text)
                warnings.warn(
                    f"{where} has {what} written down, which is recorded as it is, in the store "
                    "and in reports: put it into an environment variable and write '${env:NAME}' "
                    "in its place",
                    WrittenDownWarning,
                    stacklevel=2,
                )


def warn_of_parameters(parameters: Mapping[str, Any]) -> None:
    """Warn of secrets in the parameters of a run."""
    warn((f"parameter {name!r}", name, value) for name, value in parameters.items())


def _is_secret(name: str, text: str) -> bool:
    if len(text) < _SHORTEST or any(map(str.isspace, text)) or _REFERS.search(text):
        return False
    snake = _CAPITAL.sub("_", name)
    return _NAMES.fullmatch(snake) is not None and _PLAIN.fullmatch(text) is None
