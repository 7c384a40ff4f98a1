"""ML Metadata's query language: reading a condition, judging it, and writing it for a database.

The language is told in ML Metadata's metadata_store.proto, at `filter_query`. As in SQL, what is
not known is neither true nor false: a condition on something that is not there does not hold, and
its opposite does not either.

ML Metadata itself takes more of SQL than that, subqueries and comments among it, and pastes texts
and names into a statement so that some leave their quotes. So what was read here is written anew
(`render`), and what could leave its quotes in any of the databases is never written: who asks for
it has it judged.
"""

from __future__ import annotations

import math
import operator
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock import _tfx
from penstock.metadata.databases.portions import PORTION_BYTES

Value = str | int | float | bool
Name = tuple[str, ...]
Lookup = Callable[[Name], Value | None]

_proto = _tfx.metadata_store_pb2

ARTIFACT, EXECUTION, CONTEXT = "Artifact", "Execution", "Context"
PROPERTIES = ("properties", "custom_properties")

# More than these no pipeline asks with, and each alias is one more table to go through.
_MOST_CHARACTERS = 1_000_000
_MOST_DEPTH = 50
_MOST_ALIASES = 16

_TEXT, _NUMBER, _TRUTH = "a text", "a number", "TRUE or FALSE"
# By the name of the field.
_ENUMERATIONS: dict[str, dict[str, int]] = {
    "state": dict(_proto.Artifact.State.items()),
    "last_known_state": dict(_proto.Execution.State.items()),
    "type": dict(_proto.Event.Type.items()),
}
_TIMES = {"create_time_since_epoch": _NUMBER, "last_update_time_since_epoch": _NUMBER}
_COMMON: dict[str, Any] = {"id": _NUMBER, "name": _TEXT, "type": _TEXT, **_TIMES}
_OWN: dict[str, Any] = {**_COMMON, "type_id": _NUMBER, "external_id": _TEXT}
_EVENT: dict[str, Any] = {
    "type": _ENUMERATIONS["type"],
    "milliseconds_since_epoch": _NUMBER,
}
_VALUES = {
    "int_value": _NUMBER,
    "double_value": _NUMBER,
    "string_value": _TEXT,
    "bool_value": _TRUTH,
}
# What a field can be compared with: a kind of literals, or the names of an enumeration.
_ATTRIBUTES: dict[str, dict[str, Any]] = {
    ARTIFACT: {**_OWN, "uri": _TEXT, "state": _ENUMERATIONS["state"]},
    EXECUTION: {**_OWN, "last_known_state": _ENUMERATIONS["last_known_state"]},
    CONTEXT: _OWN,
}
_NEIGHBORS: dict[str, dict[str, dict[str, Any]]] = {
    ARTIFACT: {"contexts": _COMMON, "events": {**_EVENT, "execution_id": _NUMBER}},
    EXECUTION: {"contexts": _COMMON, "events": {**_EVENT, "artifact_id": _NUMBER}},
    CONTEXT: {
        "parent_contexts": {"id": _NUMBER, "name": _TEXT, "type": _TEXT},
        "child_contexts": {"id": _NUMBER, "name": _TEXT, "type": _TEXT},
        "artifacts": {**_COMMON, "uri": _TEXT, "state": _ENUMERATIONS["state"]},
        "executions": {**_COMMON, "last_known_state": _ENUMERATIONS["last_known_state"]},
    },
}

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
      | (?P<name>(?:[A-Za-z_]\w*|`[^`]+`)(?:\.(?:\w+|`[^`]+`))*)
      | (?P<sign><=|>=|!=|<>|[=<>(),])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = ("AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL", "BETWEEN", "TRUE", "FALSE")
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_ESCAPES = {
    **{"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"},
    **{character: character for character in "\\'\"`?"},
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "IN": lambda value, values: value in values,
    "LIKE": lambda value, pattern: _like(value, pattern),
}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_EQUALITY = ("=", "!=", "IN")

# ML Metadata looks for these in the whole query and writes something else in their place, in texts
# and names too.
_REWRITTEN = re.compile(
    r"\b(?:state|last_known_state|events_\w+\.type)\s*(?:!?=|IN\b)|properties\."
)
# It also takes a property's name for a regular expression.
_IN_EXPRESSIONS = re.compile(r"[$^*+?()\[\]{}|]")


class UnknownQueryError(ValueError):
    """A condition that is not of the language, or asks for what there is not."""


@dataclass(frozen=True)
class Comparison:
    """A field compared with a value: `IN` has several, `IS NULL` none."""

    field: Name
    sign: str
    value: Any
    is_enumerated: bool = False

    def holds(self, look: Lookup) -> bool | None:
        """Judge it; None where the field is not there."""
        value = look(self.field)
        if self.sign == "IS NULL":
            return value is None
        return None if value is None else _COMPARE[self.sign](value, self.value)

    def fields(self) -> Iterator[Name]:
        """Yield the field."""
        yield self.field

    def texts(self) -> Iterator[str]:
        """Yield all texts that it is compared with."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        yield from (value for value in values if isinstance(value, str))


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    part: Condition

    def holds(self, look: Lookup) -> bool | None:
        """Judge it; None where that is not known."""
        held = self.part.holds(look)
        return None if held is None else not held

    def fields(self) -> Iterator[Name]:
        """Yield the fields of what it is the opposite of."""
        yield from self.part.fields()

    def texts(self) -> Iterator[str]:
        """Yield the texts of what it is the opposite of."""
        yield from self.part.texts()


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

    def fields(self) -> Iterator[Name]:
        """Yield the fields of all parts."""
        for part in self.parts:
            yield from part.fields()

    def texts(self) -> Iterator[str]:
        """Yield the texts of all parts."""
        for part in self.parts:
            yield from part.texts()


Condition = Comparison | Not | Junction


def conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions that must each hold."""
    if isinstance(condition, Junction) and condition.is_and:
        return tuple(inner for part in condition.parts for inner in conjuncts(part))
    return (condition,)


def parse(text: str, kind: str) -> Condition:
    """Read a condition on nodes of a kind: ARTIFACT, EXECUTION or CONTEXT.

    Raises:
      UnknownQueryError: it is none of the language's, or on what such nodes do not have.
    """
    if len(text) > _MOST_CHARACTERS:
        raise UnknownQueryError(
            f"expected a query of up to {_MOST_CHARACTERS} characters, got {len(text)}"
        )
    reader = _Reader(text, kind, deque(_tokens(text)))
    condition = reader.junction("OR")
    if reader.tokens:
        raise reader.error()
    aliases = {name[0] for name in condition.fields() if _alias(name[0])}
    if len(aliases) > _MOST_ALIASES:
        raise UnknownQueryError(
            f"the query {_shown(text)} names {len(aliases)} neighbors, {_MOST_ALIASES} are possible"
        )
    return condition


def can_be_rendered(condition: Condition) -> bool:
    """Say whether no text and no name in a condition can leave its quotes, or be rewritten."""
    properties = {name[1] for name in condition.fields() if name[0] in PROPERTIES}
    if any(map(_IN_EXPRESSIONS.search, properties)):
        return False
    # A point in a name stands for any character there.
    if len(properties) > 1 and any("." in name for name in properties):
        return False
    return all(map(_is_plain, (*properties, *condition.texts())))


def render(condition: Condition) -> str:
    """Write a condition as ML Metadata understands it, always in one way.

    It must be one that `can_be_rendered`.
    """
    if isinstance(condition, Not):
        return f"NOT ({render(condition.part)})"
    if isinstance(condition, Junction):
        return (" AND " if condition.is_and else " OR ").join(
            render(part) if isinstance(part, Comparison) else f"({render(part)})"
            for part in condition.parts
        )
    field = ".".join(part if _is_word(part) else f"`{part}`" for part in condition.field)
    if condition.sign == "IS NULL":
        return f"{field} IS NULL"
    if condition.sign == "IN":
        return f"{field} IN ({', '.join(_literals(condition))})"
    return f"{field} {condition.sign} {_literal(condition.value)}"


def _literals(condition: Comparison) -> list[str]:
    if not condition.is_enumerated:
        return [_literal(value) for value in condition.value]
    # What ML Metadata writes for names, and takes bare numbers for, differs by version.
    numbers = _ENUMERATIONS[condition.field[-1]]
    return [f"({number})" for number in sorted({numbers[name] for name in condition.value})]


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return f"'{value}'" if isinstance(value, str) else repr(value)


def _is_plain(text: str) -> bool:
    """Whether a text stays what it is between quotes, in ML Metadata and in all databases."""
    if (
        len(text.encode(errors="surrogatepass")) > PORTION_BYTES
    ):  # which may not be there as a whole
        return False
    return not _REWRITTEN.search(text) and not any(
        character in "'\"`\\" or unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn")
        for character in text
    )


def _is_word(text: str) -> bool:
    return text.isascii() and text.replace("_", "a").isalnum()


def _alias(name: str) -> str:
    """Return which neighbors a name is for, "" for none."""
    for prefix in (
        "parent_contexts",
        "child_contexts",
        *_NEIGHBORS[ARTIFACT],
        *_NEIGHBORS[CONTEXT],
    ):
        if name.startswith(f"{prefix}_") and len(name) > len(prefix) + 1 and _is_word(name):
            return prefix
    return ""


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while True:
        token = _TOKEN.match(text, position)
        if token is None:
            raise UnknownQueryError(
                f"the query {_shown(text)} cannot be read from {_shown(text[position:])} on"
            )
        kind = token.lastgroup or ""
        if kind == "end":
            return
        word = token[kind]
        if kind == "name" and word.upper() in _KEYWORDS:
            kind, word = "keyword", word.upper()
        yield kind, word
        position = token.end()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 500 else f"{text[:500]}...")


@dataclass
class _Reader:
    """Reads tokens from the front."""

    text: str
    kind: str
    tokens: deque[tuple[str, str]]
    depth: int = 0

    def error(self, reason: str = "") -> UnknownQueryError:
        rest = " ".join(word for _, word in self.tokens) or "its end"
        at = _shown(rest)[1:-1]
        said = f": {reason}" if reason else ""
        return UnknownQueryError(f"the query {_shown(self.text)} is not understood at {at}{said}")

    def take(self, *words: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        if self.tokens and self.tokens[0][0] in ("keyword", "sign") and self.tokens[0][1] in words:
            return self.tokens.popleft()[1]
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
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise self.error(f"it is nested more than {_MOST_DEPTH} deep")
        try:
            if self.take("NOT"):
                return Not(self.condition())
            if self.take("("):
                inside = self.junction("OR")
                self.need(")")
                return inside
            return self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> Condition:
        if self.tokens and self.tokens[0][0] in ("string", "number"):
            return self.turned()
        field, kind = self.field()
        if self.take("IS"):
            is_not = self.take("NOT")
            self.need("NULL")
            missing = Comparison(field, "IS NULL", None)
            return Not(missing) if is_not else missing
        is_not = self.take("NOT")
        if self.take("BETWEEN"):
            return self.between(field, kind, is_not is not None)
        sign = self.need("IN", "LIKE") if is_not else self.need(*_COMPARE, "<>")
        compared = self.compared(field, kind, "!=" if sign == "<>" else sign)
        return Not(compared) if is_not else compared

    def turned(self) -> Condition:
        """Read a comparison whose value stands first."""
        value_token = self.tokens.popleft()
        sign = self.need("=", "!=", "<>", *_TURNED)
        field, kind = self.field()
        self.tokens.appendleft(value_token)
        sign = "!=" if sign == "<>" else _TURNED.get(sign, sign)
        return self.compared(field, kind, sign)

    def between(self, field: Name, kind: Any, is_not: bool) -> Condition:
        low = self.compared(field, kind, ">=")
        self.need("AND")
        within = Junction((low, self.compared(field, kind, "<=")), is_and=True)
        return Not(within) if is_not else within

    def compared(self, field: Name, kind: Any, sign: str) -> Condition:
        is_enumerated = not isinstance(kind, str)
        if (sign == "LIKE" and kind is not _TEXT) or (
            sign not in _EQUALITY and (is_enumerated or kind is _TRUTH)
        ):
            raise self.error(f"{'.'.join(field)} cannot be compared by {sign}")
        value = self.values(field, kind) if sign == "IN" else self.value(field, kind)
        if not is_enumerated:
            return Comparison(field, sign, value)
        among = Comparison(field, "IN", value if sign == "IN" else (value,), is_enumerated=True)
        if sign != "!=":
            return among
        # So ML Metadata has it of these, and of them alone.
        return Junction((Not(among), Comparison(field, "IS NULL", None)), is_and=False)

    def field(self) -> tuple[Name, Any]:
        """Read a field; return it, and what it can be compared with."""
        if not self.tokens or self.tokens[0][0] != "name":
            raise self.error()
        name = _parts(self.tokens[0][1])
        kind = _kind_of(name, self.kind)
        if kind is None:
            raise self.error(f"{self.kind.lower()}s have no {'.'.join(name)}")
        self.tokens.popleft()
        return name, kind

    def values(self, field: Name, kind: Any) -> tuple[Value, ...]:
        def read() -> Value:
            if not self.take("("):
                return self.value(field, kind)
            value = self.value(field, kind)
            self.need(")")
            return value

        self.need("(")
        values = [read()]
        while self.take(","):
            values.append(read())
        self.need(")")
        return tuple(values)

    def value(self, field: Name, kind: Any) -> Value:
        if not self.tokens:
            raise self.error()
        token, word = self.tokens[0]
        value: Value | None = None
        if kind is _TEXT and token == "string":
            value = self.unescaped(word[1:-1])
        elif kind is _NUMBER and token == "number":
            value = self.number(word)
        elif kind is _TRUTH and token == "keyword" and word in ("TRUE", "FALSE"):
            value = word == "TRUE"
        elif not isinstance(kind, str):
            names = {str(number): name for name, number in kind.items()}
            value = word if token == "name" and word in kind else names.get(word)
        if value is None:
            wanted = kind if isinstance(kind, str) else f"one of {', '.join(kind)}"
            raise self.error(f"{'.'.join(field)} is compared with {wanted}")
        self.tokens.popleft()
        return value

    def number(self, word: str) -> int | float:
        if re.search("[.eE]", word):
            number = float(word)
            if math.isfinite(number):
                return number
        elif len(word) <= 20 and -(2**63) <= int(word) < 2**63:
            return int(word)
        raise self.error("the number is too large")

    def unescaped(self, text: str) -> str:
        def meant(escape: re.Match[str]) -> str:
            code = escape[1] or escape[2] or escape[3]
            if code or escape[4]:
                number = int(code, 16) if code else int(escape[4], 8)
                if number < 0xD800 or 0xDFFF < number < 0x110000:
                    return chr(number)
            elif escape[5] in _ESCAPES:
                return _ESCAPES[escape[5]]
            raise self.error(f"there is no character {_shown(escape[0])}")

        return _ESCAPE.sub(meant, text)


def _kind_of(name: Name, kind: str) -> Any:
    """Return what a field of a kind of nodes can be compared with, None where there is none."""
    if len(name) == 1:
        return _ATTRIBUTES[kind].get(name[0])
    if name[0] in PROPERTIES:
        return _VALUES.get(name[2]) if len(name) == 3 else None
    attributes: Mapping[str, Any] = _NEIGHBORS[kind].get(_alias(name[0]), {})
    return attributes.get(name[1]) if len(name) == 2 else None


def _parts(name: str) -> Name:
    parts = [part.strip("`") for part in re.findall(r"`[^`]+`|\w+", name)]
    # Names of attributes are SQL's, where case does not matter.
    return tuple(parts) if len(parts) > 1 else (parts[0].lower(),)


def _like(value: str, pattern: str) -> bool:
    """Compare a text with a pattern, going back to the last `%` alone, which is enough."""
    at = begin = 0
    last, tried = -1, 0
    while at < len(value):
        sign = pattern[begin] if begin < len(pattern) else ""
        if sign == "%":
            last, tried = begin, at
            begin += 1
        elif sign and sign in ("_", value[at]):
            at, begin = at + 1, begin + 1
        elif last >= 0:
            tried += 1
            at, begin = tried, last + 1
        else:
            return False
    return not pattern[begin:].strip("%")
