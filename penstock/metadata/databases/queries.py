"""ML Metadata's query language, as far as pipelines use it: reading a condition and judging it.

The language is told in ML Metadata's metadata_store.proto, at `filter_query`. As in SQL, what is
not known is neither true nor false: a condition on something that is not there does not hold, and
its opposite does not either.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Value = str | int | float | bool
Lookup = Callable[[tuple[str, ...]], Value | None]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
      | (?P<name>(?:[A-Za-z_]\w*|`[^`]*`)(?:\.(?:[A-Za-z_]\w*|`[^`]*`))*)
      | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = ("AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "IN": lambda value, values: value in values,
    "LIKE": lambda value, pattern: _like(value, pattern),
}


class UnknownQueryError(ValueError):
    """A condition that is not of the language, or not of the part of it that is known here."""


@dataclass(frozen=True)
class Comparison:
    """A field compared with a value: `IN` has several, `IS NULL` none."""

    field: tuple[str, ...]
    sign: str
    value: Any

    def holds(self, look: Lookup) -> bool | None:
        """Judge it; None where the field is not there."""
        value = look(self.field)
        if self.sign == "IS NULL":
            return value is None
        return None if value is None else _COMPARE[self.sign](value, self.value)

    def fields(self) -> Iterator[tuple[str, ...]]:
        """Yield the field."""
        yield self.field


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    part: Condition

    def holds(self, look: Lookup) -> bool | None:
        """Judge it; None where that is not known."""
        held = self.part.holds(look)
        return None if held is None else not held

    def fields(self) -> Iterator[tuple[str, ...]]:
        """Yield the fields of what it is the opposite of."""
        yield from self.part.fields()


@dataclass(frozen=True)
class Junction:
    """Conditions that must all hold, or one of which must."""

    parts: tuple[Condition, ...]
    is_and: bool

    def holds(self, look: Lookup) -> bool | None:
        """Judge it; None where that is not known."""
        held = [part.holds(look) for part in self.parts]
        decisive = not self.is_and
        if decisive in held:
            return decisive
        return None if None in held else self.is_and

    def fields(self) -> Iterator[tuple[str, ...]]:
        """Yield the fields of all parts."""
        for part in self.parts:
            yield from part.fields()


Condition = Comparison | Not | Junction


def conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions that must each hold."""
    if isinstance(condition, Junction) and condition.is_and:
        return tuple(inner for part in condition.parts for inner in conjuncts(part))
    return (condition,)


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
      UnknownQueryError: it is none of the language's, or of a part that is not known here.
    """
    reader = _Reader(text, _tokens(text))
    condition = reader.junction("OR")
    if reader.tokens:
        raise reader.error()
    return condition


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while text[position:].strip():
        token = _TOKEN.match(text, position)
        if token is None:
            raise UnknownQueryError(
                f"the query {text!r} cannot be read from {text[position:]!r} on"
            )
        kind = token.lastgroup or ""
        word = token[kind]
        if kind == "name" and word.upper() in _KEYWORDS:
            kind, word = "keyword", word.upper()
        tokens.append((kind, word))
        position = token.end()
    return tokens


@dataclass
class _Reader:
    """Reads tokens from the front."""

    text: str
    tokens: list[tuple[str, str]]

    def error(self) -> UnknownQueryError:
        rest = " ".join(word for _, word in self.tokens) or "its end"
        return UnknownQueryError(f"the query {self.text!r} is not understood at {rest}")

    def take(self, *words: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        if self.tokens and self.tokens[0][0] in ("keyword", "sign") and self.tokens[0][1] in words:
            return self.tokens.pop(0)[1]
        return None

    def need(self, *words: str) -> str:
        word = self.take(*words)
        if word is None:
            raise self.error()
        return word

    def junction(self, word: str) -> Condition:
        """Read conditions between which a word stands, AND binding more closely than OR."""

        def read() -> Condition:
            return self.junction("AND") if word == "OR" else self.condition()

        parts = [read()]
        while self.take(word):
            parts.append(read())
        return parts[0] if len(parts) == 1 else Junction(tuple(parts), word == "AND")

    def condition(self) -> Condition:
        if self.take("NOT"):
            return Not(self.condition())
        if self.take("("):
            inside = self.junction("OR")
            self.need(")")
            return inside
        return self.comparison()

    def comparison(self) -> Condition:
        if not self.tokens or self.tokens[0][0] != "name":
            raise self.error()
        field = _parts(self.tokens.pop(0)[1])
        if self.take("IS"):
            is_not = self.take("NOT")
            self.need("NULL")
            missing = Comparison(field, "IS NULL", None)
            return Not(missing) if is_not else missing
        is_not = self.take("NOT")
        sign = self.need("IN", "LIKE") if is_not else self.need(*_COMPARE)
        compared = Comparison(field, sign, self.values() if sign == "IN" else self.value())
        return Not(compared) if is_not else compared

    def values(self) -> tuple[Value, ...]:
        self.need("(")
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        self.need(")")
        return tuple(values)

    def value(self) -> Value:
        if not self.tokens or self.tokens[0][0] in ("keyword", "sign"):
            raise self.error()
        kind, word = self.tokens.pop(0)
        if kind == "string":
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), word[1:-1], flags=re.DOTALL)
        if kind == "number":
            return float(word) if re.search("[.eE]", word) else int(word)
        # The name of a state or of a kind of event, or a truth value.
        return {"true": True, "false": False}.get(word.lower(), word)


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip("`") for part in re.findall(r"`[^`]*`|\w+", name))


def _like(value: Any, pattern: str) -> bool:
    parts = {"%": ".*", "_": "."}
    expression = "".join(parts.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, str(value), flags=re.DOTALL) is not None
