"""References to environment variables: text that stands for a secret until it is used.

`${env:NAME}` stands for the value of the environment variable NAME. It stays a reference in
configuration, IR, ML Metadata, cache keys and plans, and is replaced in the process that needs the
value. Two dollars stand for one before `{env:`, so that `$${env:` writes a literal `${env:`.

What comes out of such a process passes through a `Redaction`, which puts references back in the
place of values.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from penstock.errors import ParameterError

# Shorter values are found in any text, so replacing them would hide nothing and garble all.
SHORTEST_REDACTED = 4
# The lines of a value are less telling than the value.
_SHORTEST_LINE = 8
# So much of the beginning of a longer secret is replaced too where it was cut: errors cut what
# they quote, and a process may die while it writes.
_HEAD = 16
_CUT = (b"...", "\u2026".encode())

# What systems and shells say of a user and a place, on which much hangs that must be told.
PLAIN = frozenset(
    [
        "HOME",
        "USER",
        "LOGNAME",
        "HOSTNAME",
        "SHELL",
        "PWD",
        "OLDPWD",
        "PATH",
        "TMPDIR",
        "TEMP",
        "TMP",
        "TERM",
        "TZ",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "LC_CTYPE",
        "EDITOR",
        "DISPLAY",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_RUNTIME_DIR",
    ]
)

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"(\$+)\{{env:(?:({_NAME})\}})?")
_WHOLE_REFERENCE = re.compile(rf"\$\{{env:{_NAME}\}}")
# What writers of JSON escape beyond what they must: those of Python, Go, PHP and .NET.
_ESCAPED = ("", "<>&", "<>&'", "<>&'\"", "<>&'\"+")
_ESCAPE = re.compile(r"\\\\|\\u[0-9a-f]{4}")
_PERCENT = re.compile("%[0-9A-F]{2}")
_FOR_DOUBLE_QUOTES = re.compile(r'[\\$"`]')
_FOR_NO_QUOTES = re.compile(r"[^\w@%+=:,./-]")
_REFERENCE_BYTES = re.compile(rf"\$\{{env:({_NAME})\}}".encode())


def is_reference(text: str) -> bool:
    """Whether a text is one reference to a variable, and nothing else."""
    return _WHOLE_REFERENCE.fullmatch(text) is not None


def names(text: str) -> list[str]:
    """Return the variables that a text refers to, in their order.

    Raises:
      ParameterError: a reference is begun and is none.
    """
    variables: list[str] = []

    def note(name: str) -> str:
        variables.append(name)
        return ""

    _substitute(text, note)
    return variables


def resolve(text: str, *, encode: Callable[[str], str] = lambda value: value) -> str:
    """Return a text with the values of the variables that it refers to.

    Inside JSON text the values are written as JSON asks for. `encode` is applied to each value.

    Raises:
      ParameterError: a variable is not set, or a reference is begun and is none.
    """
    if "{env:" not in text:
        return text
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            content = json.loads(text)
        except ValueError:
            pass
        else:
            return json.dumps(resolve_in(content))
    return _substitute(text, lambda name: encode(_value(name)))


def resolve_in(value: Any) -> Any:
    """Return a value in which every text, also in lists, dicts and messages, is resolved."""
    return map_texts(value, resolve) if any("{env:" in text for text in texts(value)) else value


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value: in lists, dicts and protobuf messages."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in value:
            yield from texts(value[key])
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for item in value:
            yield from texts(item)
    elif hasattr(value, "ListFields"):
        for _, content in value.ListFields():
            yield from texts(content)


def map_texts(value: Any, function: Callable[[str], str]) -> Any:
    """Return a value with a function applied to every text in it; keys stay as they are."""
    if isinstance(value, str):
        return function(value)
    if isinstance(value, Mapping):
        return {key: map_texts(item, function) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map_texts(item, function) for item in value)
    if hasattr(value, "ListFields"):
        copied = type(value)()
        copied.CopyFrom(value)
        _map_message(copied, function)
        return copied
    return value


def _map_message(message: Any, function: Callable[[str], str]) -> None:
    for declared, content in message.ListFields():
        if isinstance(content, Mapping):
            for key in content:
                if isinstance(content[key], str):
                    content[key] = function(content[key])  # type: ignore[index]
                elif hasattr(content[key], "ListFields"):
                    _map_message(content[key], function)
        elif isinstance(content, str):
            setattr(message, declared.name, function(content))
        elif hasattr(content, "ListFields"):
            _map_message(content, function)
        elif declared.message_type is not None:
            for item in content:
                _map_message(item, function)
        elif isinstance(content, Iterable) and not isinstance(content, bytes):
            content[:] = [  # type: ignore[index]
                function(item) if isinstance(item, str) else item for item in content
            ]


def resolve_address(address: str) -> str:
    """Return a store's address with secrets; in its user and password they are URL-encoded.

    Raises:
      ParameterError: a variable is not set, or a reference is begun and is none.
    """
    scheme, separator, rest = address.partition("://")
    access, at, location = rest.rpartition("@")
    if not (separator and at):
        return resolve(address)
    encoded = resolve(access, encode=lambda value: urllib.parse.quote(value, safe=""))
    return f"{resolve(scheme)}://{encoded}@{resolve(location)}"


def _substitute(text: str, value: Callable[[str], str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        dollars, name = match.group(1), match.group(2)
        literal = "$" * (len(dollars) // 2)
        if len(dollars) % 2 == 0:
            return literal + match.group(0)[len(dollars) :]
        if name is None:
            beginning = match.string[match.end(1) - 1 :][:30]
            raise ParameterError(
                f"{beginning!r} is no reference to an environment variable",
                hint="Write ${env:NAME}, with letters, digits and underscores; $${env: stands for "
                "a literal ${env:.",
            )
        return literal + value(name)

    return _REFERENCE.sub(replacement, text)


def _value(name: str) -> str:
    if name not in os.environ:
        raise ParameterError(
            f"the environment variable {name} is not set",
            hint=f"It is referred to as ${{env:{name}}}: set it before the command.",
        )
    return os.environ[name]


@dataclass(frozen=True)
class Redaction:
    """Puts references back in the place of secrets; `secrets` maps values to what replaces them.

    Beside a value itself its forms in JSON, in Python's quotes, in URLs, in base64 and in shells'
    quotes are replaced, the lines of a value that has several, and the beginning of a long one that
    was cut.
    """

    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def _forms(self) -> dict[bytes, bytes]:
        """What is looked for, and what replaces it."""
        forms: dict[bytes, bytes] = {}
        for value, reference in self.secrets.items():
            for form in _forms(value):
                forms.setdefault(_bytes(form), reference.encode())
        return forms

    @cached_property
    def _heads(self) -> frozenset[bytes]:
        """How the forms begin."""
        return frozenset(form[:_HEAD] for form in self._forms)

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        heads = b"|".join(re.escape(head) for head in sorted(self._heads))
        return re.compile(b"(?=" + heads + b")")

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if not self:
            return text
        redacted, _ = self.part(text.encode("utf-8", "surrogateescape"), last=True)
        return redacted.decode("utf-8", "surrogateescape")

    def reference_in(self, data: bytes) -> str | None:
        """Return the reference to the first secret in the data, if there is one."""
        hits = (self._hit(data, match.start()) for match in self._begins(data))
        return next((reference.decode() for _, reference, _ in hits if reference), None)

    def part(self, data: bytes, *, last: bool = False) -> tuple[bytes, bytes]:
        """Return the part of a stream that can be passed on, and what must wait for more.

        What waits could be the beginning of a secret; with `last` nothing does.
        """
        if not self:
            return data, b""
        done: list[bytes] = []
        position = 0
        for match in self._begins(data):
            start = match.start()
            if start < position:
                continue
            end, reference, complete = self._hit(data, start)
            if not complete and not last:
                return b"".join([*done, data[position:start]]), data[start:]
            if reference:
                done += [data[position:start], reference]
                position = end
        waits = len(data) if last else self._begun(data, position)
        return b"".join([*done, data[position:waits]]), data[waits:]

    def _begins(self, data: bytes) -> Iterator[re.Match[bytes]]:
        """Yield where secrets could begin, also within one another."""
        return self._pattern.finditer(data) if self else iter(())

    def _hit(self, data: bytes, start: int) -> tuple[int, bytes, bool]:
        """Return where the secret that begins here ends, what replaces it, and whether that is all.

        Nothing replaces it if there is none; it is not all if more data could make it longer.
        """
        length, best, complete = 0, b"", True
        for form, reference in self._forms.items():
            common = _common(data, start, form)
            rest = data[start + common : start + common + 3]
            whole = common == len(form)
            cut = common >= _HEAD and rest in (*_CUT, b"")
            if (whole or cut) and common > length:
                length, best = common, reference
            if not whole and common and len(rest) < 3:
                open_end = not rest or any(mark.startswith(rest) for mark in _CUT)
                complete = complete and not open_end
        return start + length, best, complete

    def _begun(self, data: bytes, position: int) -> int:
        """Return where the end of the data could be the beginning of a secret."""
        for start in range(max(position, len(data) - _HEAD + 1), len(data)):
            rest = data[start:]
            if any(head.startswith(rest) for head in self._heads):
                return start
        return len(data)


def _common(data: bytes, start: int, form: bytes) -> int:
    """Return how many bytes of a form the data have from a place on."""
    if data.startswith(form, start):
        return len(form)
    pairs = zip(data[start : start + len(form)], form, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _forms(value: str) -> Iterator[str]:
    if len(value) < SHORTEST_REDACTED:
        return
    lines = [line.strip() for line in value.splitlines()]
    for text in (value, *(line for line in lines if len(line) >= _SHORTEST_LINE)):
        spelled = {
            text,
            repr(text)[1:-1],
            repr(_bytes(text))[2:-1],
            *_in_json(text),
            *_in_addresses(text),
            *_in_base64(text),
            *_in_shells(text),
        }
        yield from sorted(form for form in spelled if len(form) >= SHORTEST_REDACTED)


def _bytes(text: str) -> bytes:
    # Variables may hold bytes that are no text, and Python has them as halves of characters.
    return text.encode("utf-8", "surrogateescape" if _is_of_bytes(text) else "surrogatepass")


def _is_of_bytes(text: str) -> bool:
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in text)


def _in_json(text: str) -> Iterator[str]:
    """Yield how JSON's writers write a text: which characters they escape differs."""
    for is_ascii, slash, escaped in itertools.product((True, False), ("/", "\\/"), _ESCAPED):
        written = json.dumps(text, ensure_ascii=is_ascii)[1:-1].replace("/", slash)
        for character in escaped:
            spelled = '\\"' if character == '"' else character
            written = written.replace(spelled, f"\\u{ord(character):04x}")
        yield from (written, _ESCAPE.sub(_in_capitals, written))
        yield from (json.dumps(written)[1:-1], repr(written)[1:-1])


def _in_addresses(text: str) -> Iterator[str]:
    """Yield how a text is written in URLs and forms."""
    data = _bytes(text)
    for safe in ("/", "", "!'()*", "!'()*/"):
        for written in (urllib.parse.quote(data, safe), urllib.parse.quote_plus(data, safe)):
            yield from (written, _PERCENT.sub(lambda match: match[0].lower(), written))


def _in_base64(text: str) -> Iterator[str]:
    """Yield the characters that a text alone decides, after 0, 1 or 2 other bytes."""
    data = _bytes(text)
    for before in range(3):
        # A character has six bits.
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[first:end]


def _in_shells(text: str) -> Iterator[str]:
    """Yield how a text is quoted for shells."""
    yield text.replace("'", "'\"'\"'")
    yield text.replace("'", "'\\''")
    yield _FOR_DOUBLE_QUOTES.sub(r"\\\g<0>", text)
    yield _FOR_NO_QUOTES.sub(r"\\\g<0>", text)


def _in_capitals(match: re.Match[str]) -> str:
    return match[0] if match[0] == "\\\\" else "\\u" + match[0][2:].upper()


def redaction_for(*contents: bytes, more: Iterable[tuple[str, str]] = ()) -> Redaction:
    """Return the redaction of all variables to which some serialized messages refer.

    Those that are `PLAIN` are no secrets. `more` are values and what replaces them.
    """
    variables = {
        name.decode() for content in contents for name in _REFERENCE_BYTES.findall(content)
    }
    secrets = {
        os.environ[name]: f"${{env:{name}}}"
        for name in sorted(variables - PLAIN)
        if name in os.environ
    }
    return Redaction({**dict(more), **secrets})
