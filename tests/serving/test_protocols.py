"""Whatever a body holds, it is read into columns, or refused with what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.models.signature import Column, Signature
from penstock.serving.frames import Question
from penstock.serving.protocols import CLASSIFY, INFER, PREDICT, REGRESS, ROWS, VERBS
from penstock.serving.protocols.form import Asked, Served

pytestmark = pytest.mark.needs("orjson")

SIGNATURES = [
    Signature(
        inputs=(
            Column("age", "int64"),
            Column("income", "float64", optional=True),
            Column("name", "string", optional=True),
            Column("is_new", "bool", optional=True),
            Column("place", "float32", (2,), optional=True),
            Column("words", "string", (None,), optional=True),
        ),
        outputs=(Column("prediction", "float64"),),
    ),
    Signature(inputs=(Column("image", "binary"),), outputs=(Column("prediction", "int64"),)),
    None,
]
SERVED = [Served("people", 1, signature) for signature in SIGNATURES]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["FP32", "INT64", "BYTES", "BOOL", "AAEC", "age", "image", "\ud800"])
)
# The words that the protocols know, so that objects get as far as possible.
words = st.sampled_from(
    [
        *("instances", "inputs", "examples", "context", "signature_name", "b64", "id"),
        *("name", "datatype", "shape", "data", "parameters", "outputs"),
        *("binary_data_size", "binary_data", "binary_data_output"),
        *("age", "income", "name", "is_new", "place", "words", "image", "input-0"),
    ]
) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["age", "income", "place", "image", "x"]) | values,
        "datatype": st.sampled_from(["INT64", "FP32", "FP64", "BOOL", "BYTES", "FP16"]) | values,
        "shape": st.lists(st.integers(0, 3), max_size=3) | values,
        "data": st.lists(scalars, max_size=6) | values,
    },
    optional={
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 20)})
        | values
    },
)
rows = st.lists(
    st.dictionaries(st.sampled_from(["age", "income", "name", "image", "words"]), values) | values,
    max_size=4,
)
contents = (
    values
    | rows
    | st.fixed_dictionaries({"instances": rows | values})
    | st.fixed_dictionaries({"examples": rows | values}, optional={"context": values})
    | st.fixed_dictionaries({"inputs": st.dictionaries(words, values, max_size=3) | values})
    | st.fixed_dictionaries(
        {"inputs": st.lists(tensors, max_size=3)}, optional={"outputs": values, "id": values}
    )
)


def as_body(content: Any) -> bytes:
    return json.dumps(content).encode()  # NaN and lone surrogates too, as some clients write them


bodies = st.binary(max_size=60) | contents.map(as_body)


@pytest.mark.parametrize("verb", range(len(VERBS)))
@settings(max_examples=300, deadline=None)
@given(
    body=bodies, tail=st.binary(max_size=24), has_head=st.booleans(), served=st.sampled_from(SERVED)
)
def test_any_body_is_read_or_refused(
    verb: int, body: bytes, tail: bytes, has_head: bool, served: Served
) -> None:
    whole = body + tail if has_head else body
    try:
        asked = VERBS[verb].read(whole, len(body) if has_head else 0, served)
    except DataError:
        return
    assert isinstance(asked, Asked)
    assert all(len(column) == asked.rows for column in asked.columns.values())


@pytest.fixture(scope="module")
def answering(saved: Path) -> Any:
    from penstock.models import load_model
    from penstock.serving.worker.answering import Answering
    from penstock.serving.worker.counting import Counts

    model = load_model(str(saved / "1"))
    return Answering(model, Served("people", 1, model.signature), 100, Counts())


@pytest.mark.needs("sklearn")
@settings(max_examples=300, deadline=None)
@given(questions=st.lists(st.tuples(st.sampled_from(range(len(VERBS))), bodies), max_size=4))
def test_any_questions_are_answered_and_spoil_none(
    answering: Any, questions: list[tuple[int, bytes]]
) -> None:
    good = Question(ROWS, b'{"age": 70, "income": 20000.0}')
    asked = [Question(verb, body) for verb, body in questions]
    [*others, last] = answering.answers([*asked, good])
    assert {answer.status for answer in others} <= {200, 400, 413}
    assert all(answer.status == 200 or json.loads(answer.body)["error"] for answer in others)
    assert json.loads(last.body)["prediction"] == "stays"


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        (ROWS, b'{"age": 3, "x": {"y": 1}}'),
        (ROWS, b'[{"age": 3, "x": {"y": 1}}, {"age": 3, "z": [{}]}]'),
        (ROWS, b'{"age": [3], "x": [{"y": 1}]}'),
        (PREDICT, b'{"instances": [{"age": 3, "x": {"y": 1}}]}'),
        (PREDICT, b'{"inputs": {"age": [3], "x": [{"y": 1}]}}'),
        (CLASSIFY, b'{"examples": [{"age": 3}], "context": {"x": {"y": 1}}}'),
        (
            INFER,
            b'{"inputs": [{"name": "age", "datatype": "INT64", "shape": [1], "data": [3]},'
            b'{"name": "x", "datatype": "INT64", "shape": [1], "data": [3]}]}',
        ),
    ],
)
def test_columns_that_the_model_does_not_take_do_not_matter(verb: int, body: bytes) -> None:
    assert list(VERBS[verb].read(body, 0, SERVED[0]).columns) == ["age"]


@pytest.mark.parametrize("served", SERVED)
def test_rows_of_ever_other_columns_take_no_memory(served: Served) -> None:
    rows = [{f"{row}-{column}": 1 for column in range(100)} for row in range(1000)]
    with pytest.raises(DataError, match="got 100000 names in 1000 rows"):
        VERBS[ROWS].read(as_body(rows), 0, served)


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64])
def test_a_number_beyond_64_bits_is_a_fault_of_its_row(answering: Any, number: int) -> None:
    body = json.dumps([{"age": 1, "income": 1.0}, {"age": number, "income": 1.0}]).encode()
    [answer] = answering.answers([Question(ROWS, body)])
    assert answer.status == 400
    assert "row 1: expected a whole number" in json.loads(answer.body)["error"]


@pytest.mark.needs("sklearn")
def test_what_a_form_does_not_foresee_spoils_no_other_answer(
    answering: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads_badly(*_: Any) -> Asked:
        raise ZeroDivisionError("of no rows")

    def writes_badly(*_: Any) -> tuple[bytes, int]:
        raise TypeError("no JSON")

    forms = [
        *(VERBS[ROWS], replace(VERBS[PREDICT], read=reads_badly)),
        *(replace(VERBS[ROWS], write=writes_badly),) * 3,
    ]
    monkeypatch.setattr("penstock.serving.worker.answering.VERBS", forms)
    body = b'{"age": 70, "income": 20000.0}'
    asked = [Question(verb, body) for verb in (PREDICT, CLASSIFY, ROWS)]
    [unread, unwritten, good] = answering.answers(asked)
    assert (unread.status, unwritten.status, good.status) == (400, 500, 200)
    assert b"the body could not be read: ZeroDivisionError: of no rows" in unread.body
    assert b"the model's predictions cannot be written: TypeError: no JSON" in unwritten.body


def test_names_of_verbs_are_their_places() -> None:
    assert len({ROWS, PREDICT, CLASSIFY, REGRESS, INFER}) == len(VERBS)


@pytest.mark.parametrize(
    ("verb", "body", "said"),
    [
        (ROWS, b"{", "the body should be JSON"),
        (ROWS, b"3", "expected an object with columns, or a list of them, got 3"),
        (ROWS, b'{"age": {"b": 1}}', "expected a value, got an object with 'b'"),
        (PREDICT, b"{}", "expected an object with 'instances' or 'inputs', got {}"),
        (
            ROWS,
            '{"image": {"b64": "é"}}'.encode(),
            "row 0: expected base64: string argument should contain only ASCII",
        ),
        (PREDICT, b'{"instances": []}', "instances: expected a list of rows, got []"),
        (PREDICT, b'{"instances": [[1]]}', "row 0: expected an object, or a list of 6 values"),
        (CLASSIFY, b'{"examples": [1]}', "row 0: expected an object, got 1"),
        (INFER, b'{"inputs": {}}', "expected an object with a list 'inputs'"),
        (
            INFER,
            b'{"inputs": [{"name": "age", "datatype": "INT64", "shape": [2], "data": [1]}]}',
            "the shape [2] has 2 values, and the data 1",
        ),
        (
            INFER,
            b'{"inputs": [{"name": "age", "datatype": ["x"], "shape": [1], "data": [1]}]}',
            "expected a datatype of BOOL",
        ),
        (
            INFER,
            b'{"inputs": [{"name": "age", "datatype": "INT64", "shape": [%s], "data": [1]}]}'
            % b", ".join([b"1"] * 100),
            "cannot be used: maximum supported dimension",
        ),
        (
            INFER,
            b'{"inputs": [{"name": "age", "datatype": "INT64", "shape": [0, 1099511627775, '
            b'1099511627775], "data": []}]}',
            "the shape [0, 1099511627775, 1099511627775] cannot be used",
        ),
    ],
)
def test_what_is_wrong_with_a_body_is_said(verb: int, body: bytes, said: str) -> None:
    with pytest.raises(DataError) as raised:
        VERBS[verb].read(body, 0, SERVED[0])
    assert said in str(raised.value)
