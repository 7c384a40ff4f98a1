"""How what a database refuses is made to fit."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import _tfx
from penstock.metadata.databases.limits import MYSQL, POSTGRESQL, SQLITE, is_refusal, make_fit

pytestmark = pytest.mark.core
SPAN_IS_WHOLE = {"span": 1}


def request_with(**properties):
    request = _tfx.metadata_store_service_pb2.PutExecutionRequest()
    pair = request.artifact_event_pairs.add()
    pair.event.path.steps.add().key = "model"
    for name, value in properties.items():
        field = {str: "string_value", int: "int_value"}[type(value)]
        setattr(pair.artifact.custom_properties[name], field, value)
    return request


def fitted(request, limits=POSTGRESQL):
    changed = make_fit(request, limits, lambda *_: SPAN_IS_WHOLE)
    return request.artifact_event_pairs[0].artifact, changed


def test_what_is_left_out_is_said_with_its_output_and_why():
    artifact, changed = fitted(request_with(rows=2**31))
    assert changed == [
        "the output 'model': the property 'rows' is left out: the store holds whole numbers up to "
        "2147483647, not 2147483648"
    ]
    assert not artifact.custom_properties


def test_a_long_text_becomes_its_beginning_and_its_digest():
    text = "ä" * 600_000
    artifact, [changed] = fitted(request_with(text=text))
    digest = hashlib.sha256(text.encode()).hexdigest()
    expected = f"{'ä' * 200}… (1200000 bytes, sha256 {digest})"
    assert artifact.custom_properties["text"].string_value == expected
    assert changed == "the output 'model': the property 'text' is shortened: it has 1200000 bytes"


def test_a_name_that_is_too_long_is_left_out():
    _, [changed] = fitted(request_with(**{"k" * 300: 1}))
    assert changed.endswith("is left out: its name has 300 characters, 255 are possible")


@settings(deadline=None)
@given(st.text(max_size=5_000), st.integers(-(2**63), 2**63 - 1))
def test_what_fits_is_left_as_it_is(text, number):
    text = text.replace("\0", "")
    artifact, changed = fitted(request_with(text=text, rows=number), SQLITE)
    assert artifact.custom_properties["text"].string_value == text
    assert artifact.custom_properties["rows"].int_value == number
    assert changed == []


@settings(deadline=None)
@given(st.text(max_size=5_000), st.integers(-(2**63), 2**63 - 1))
def test_what_was_made_fit_fits(text, number):
    for limits in (MYSQL, POSTGRESQL):
        artifact, _ = fitted(request_with(text=text, rows=number), limits)
        _, again = fitted(
            request_with(
                **{
                    name: getattr(value, value.WhichOneof("value"))
                    for name, value in artifact.custom_properties.items()
                }
            ),
            limits,
        )
        assert again == []


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("Data too long for column 'name' at row 1", True),
        ("value too long for type character varying(255)", True),
        ("index row requires 71024 bytes, maximum size is 8191", True),
        ("integer out of range", True),
        ("server closed the connection unexpectedly", False),
        ("database is locked", False),
    ],
)
def test_refusals_are_told_from_failures(message, refused):
    assert is_refusal(message) is refused
