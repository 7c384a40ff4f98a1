from __future__ import annotations

import base64
import json
import re
import shlex
import urllib.parse

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ParameterError
from penstock.safety.secrets import Redaction, map_texts, names, redaction_for, resolve, resolve_in

VALUE = 'pa"ss\\word\nof two lines'


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("TOKEN", VALUE)
    monkeypatch.setenv("SHORT", "abc")
    monkeypatch.delenv("NOT_THERE", raising=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env:TOKEN}", VALUE),
        ("a ${env:SHORT}, b ${env:SHORT}", "a abc, b abc"),
        ("$${env:TOKEN}", "${env:TOKEN}"),
        ("$${env:", "${env:"),
        ("$$${env:SHORT}", "$abc"),
        ("$TOKEN ${TOKEN} {env:TOKEN} $$", "$TOKEN ${TOKEN} {env:TOKEN} $$"),
    ],
)
def test_a_reference_stands_for_the_value_and_two_dollars_for_one(text, expected):
    assert resolve(text) == expected


def test_inside_json_text_a_value_is_written_as_json():
    text = json.dumps({"a": ["${env:TOKEN}"], "b": json.dumps({"c": "${env:TOKEN}"})})
    resolved = json.loads(resolve(text))
    assert resolved["a"] == [VALUE]
    assert json.loads(resolved["b"]) == {"c": VALUE}


def test_lists_dicts_and_messages_are_resolved_inside():
    message = struct_pb2.Struct()
    message.update({"a": "${env:SHORT}", "b": ["${env:SHORT}"]})
    resolved = resolve_in({"x": ["${env:SHORT}", 3], "m": message})
    assert resolved["x"] == ["abc", 3]
    assert resolved["m"]["a"] == "abc"
    assert list(resolved["m"]["b"]) == ["abc"]
    assert message["a"] == "${env:SHORT}"


def test_a_value_that_looks_like_a_reference_is_not_resolved_again(monkeypatch):
    monkeypatch.setenv("OUTER", "${env:TOKEN}")
    assert resolve("${env:OUTER}") == "${env:TOKEN}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${env:NOT_THERE}", "the environment variable NOT_THERE is not set"),
        ("x ${env:A-B}", r"'\$\{env:A-B\}' is no reference"),
        ("${env:", "is no reference to an environment variable. Write"),
    ],
)
def test_what_cannot_be_resolved_is_an_error(text, message):
    with pytest.raises(ParameterError, match=message):
        resolve(text)


def test_the_names_in_a_text_come_in_their_order_and_without_escaped_ones():
    assert names("${env:B} $${env:C} ${env:A}") == ["B", "A"]


def test_a_redaction_never_shows_its_secrets():
    assert "hunter2" not in repr(Redaction({"hunter2": "${env:A}"}))


@pytest.mark.parametrize(
    "text",
    [
        VALUE,
        repr(VALUE),
        json.dumps({"a": VALUE}),
        json.dumps(json.dumps(VALUE)[1:-1]),
        "pa%22ss%5Cword%0Aof%20two%20lines",
        "of two lines",
    ],
)
def test_every_spelling_of_a_secret_is_replaced(text):
    redacted = Redaction({VALUE: "${env:TOKEN}"}).text(f"begin {text} end")
    assert redacted.startswith("begin ")
    assert redacted.endswith(" end")
    assert "${env:TOKEN}" in redacted
    for part in ("word", "two lines"):
        assert part not in redacted


def in_capitals(text: str) -> str:
    return re.sub(r"(?<!\\\\)\\u[0-9a-f]{4}", lambda m: r"\u" + m[0][2:].upper(), text)


def in_small_letters(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text)


ENCODINGS = {
    "as it is": str,
    "JSON": lambda v: json.dumps(v)[1:-1],
    "JSON with all characters": lambda v: json.dumps(v, ensure_ascii=False)[1:-1],
    "JSON with escaped slashes": lambda v: json.dumps(v)[1:-1].replace("/", r"\/"),
    "JSON as Go writes it": lambda v: (
        json.dumps(v, ensure_ascii=False)[1:-1]
        .replace("&", r"\u0026")
        .replace("<", r"\u003c")
        .replace(">", r"\u003e")
    ),
    "JSON with capitals": lambda v: in_capitals(json.dumps(v.replace("\\", ""))[1:-1]),
    "an address": lambda v: urllib.parse.quote(v, safe=""),
    "an address with slashes": urllib.parse.quote,
    "an address in small letters": lambda v: in_small_letters(urllib.parse.quote(v, safe="")),
    "a form": urllib.parse.quote_plus,
    "a form in small letters": lambda v: in_small_letters(urllib.parse.quote_plus(v)),
    "repr": lambda v: repr(v)[1:-1],
    "repr of bytes": lambda v: repr(v.encode())[2:-1],
    "a shell": shlex.quote,
    "a shell, in another way": lambda v: v.replace("'", r"'\''"),
}


TEXTS = st.text(alphabet="ab1é&/\"'\\ <>+%\n\t$ü😀=~\x1b", min_size=5)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(TEXTS)
def test_a_secret_is_replaced_however_it_is_written(encoding, value):
    if encoding == "JSON with capitals":
        value = value.replace("\\", "") + "abcd"
    written = ENCODINGS[encoding](value)
    core = written.strip("'") if encoding == "a shell" else written
    shown = Redaction({value: "SECRET"}).text(f"[{written}]")
    assert "SECRET" in shown
    assert core not in shown or core in "SECRET"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(st.binary(max_size=4), TEXTS, st.binary(max_size=4))
def test_of_a_secret_among_bytes_in_base64_its_ends_are_left_at_most(encode, before, value, after):
    written = encode(before + value.encode() + after).decode()
    _, found, rest = Redaction({value: "(SECRET)"}).text(written).partition("(SECRET)")
    assert found
    assert len(rest) <= len(encode(after)) + 4


def test_bytes_that_are_no_text_are_replaced_too():
    value = b"pass\xffword".decode("utf-8", "surrogateescape")
    assert Redaction({value: "SECRET"}).part(b"a pass\xffword", last=True)[0] == b"a SECRET"
    assert Redaction({value: "SECRET"}).text("pass%FFword") == "SECRET"


def test_the_beginning_of_a_secret_that_was_cut_is_replaced():
    redaction = Redaction({"0123456789abcdefghijklmnop": "${env:TOKEN}"})
    assert redaction.text("got '0123456789abcdefghij...") == "got '${env:TOKEN}..."
    assert redaction.text("0123456789abcdefghij is another") == "0123456789abcdefghij is another"


def test_values_of_less_than_four_characters_are_left():
    assert Redaction({"abc": "${env:SHORT}"}).text("abcabc") == "abcabc"
    assert not Redaction({"abc": "${env:SHORT}"})


def test_the_longer_of_two_secrets_that_begin_alike_is_replaced():
    redaction = Redaction({"secret": "${env:A}", "secret-and-more": "${env:B}"})
    assert redaction.text("secret secret-and-more") == "${env:A} ${env:B}"


def test_the_variables_of_messages_are_those_that_are_redacted():
    redaction = redaction_for(b'{"a": "${env:TOKEN}"}', b"${env:NOT_THERE}", more=[("pass", "***")])
    assert redaction.secrets == {"pass": "***", VALUE: "${env:TOKEN}"}


SECRETS = ("abab", "ababab-and-then-some-more", "0123456789abcdefghij", "...dots")


@given(
    words=st.lists(
        st.sampled_from((*SECRETS, *(s[:-1] for s in SECRETS), "ab", "...", "0123456789abcdefgh"))
        | st.text(alphabet="ab01. -", max_size=5)
    ),
    cuts=st.lists(st.integers(1, 9), min_size=1),
)
def test_a_stream_is_redacted_alike_however_it_is_cut(words, cuts):
    redaction = Redaction({secret: f"<{i}>" for i, secret in enumerate(SECRETS)})
    data = "".join(words).encode()
    done, held, position, turn = b"", b"", 0, 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        part, held = redaction.part(held + data[position : position + size])
        done, position, turn = done + part, position + size, turn + 1
    done += redaction.part(held, last=True)[0]
    assert done == redaction.part(data, last=True)[0]
    assert not [secret for secret in SECRETS if secret.encode() in done]


def test_texts_are_mapped_wherever_they_stand_in_a_message():
    message = struct_pb2.Struct()
    message.update({"a": {"b": "x"}, "c": ["x", 1]})
    mapped = map_texts(message, str.upper)
    assert mapped["a"]["b"] == "X"
    assert list(mapped["c"]) == ["X", 1]


def test_what_a_system_says_of_a_user_and_a_place_is_no_secret(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    redaction = redaction_for(b"${env:HOME}/data ${env:PATH}")
    assert redaction.text("/home/somebody/data") == "/home/somebody/data"
