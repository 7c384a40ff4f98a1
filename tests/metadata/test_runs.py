from __future__ import annotations

import json

import pytest

from penstock._tfx import metadata_store_pb2 as proto
from penstock.errors import RunError
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata.reading import fingerprint_bytes
from penstock.metadata.runs import find_run, list_runs
from penstock_support.histories import Calls, History, new_store

pytestmark = pytest.mark.core

OURS = "files:1,bytes:15203,sha256:61"
TFX = (
    "split:train,num_files:1,total_bytes:700,xor_checksum:1,sum_checksum:2\n"
    "split:eval,num_files:1,total_bytes:300,xor_checksum:1,sum_checksum:2"
)


@pytest.fixture
def history(tmp_path):
    return History(new_store(), tmp_path)


def size(count: int) -> dict[str, int]:
    return {"content_bytes": count}


@pytest.mark.parametrize(("fingerprint", "expected"), [(OURS, 15203), (TFX, 1000), ("", None)])
def test_a_fingerprint_says_how_many_bytes_were_read(fingerprint, expected):
    assert fingerprint_bytes(fingerprint) == expected


def test_bytes_in_are_those_of_all_inputs_and_bytes_out_those_of_all_outputs(history):
    made = history.execute(
        "r",
        "A",
        outputs={"x": "Examples", "y": "Schema"},
        properties={"x": size(5), "y": size(2)},
    )
    inputs = {"one": [made["x"]], "again": [made["x"]], "y": [made["y"]]}
    history.execute("r", "B", inputs, {"z": "Model"}, properties={"z": size(9)})
    first, second = find_run(history.store, "r").nodes
    assert (first.bytes_in, first.bytes_out) == (None, 7)
    assert (second.bytes_in, second.bytes_out) == (7, 9)


def test_bytes_are_unknown_where_an_artifact_does_not_say(history):
    history.execute("r", "A", outputs={"x": "Examples", "y": "Schema"}, properties={"x": size(5)})
    assert find_run(history.store, "r").nodes[0].bytes_out is None


def test_an_example_gen_s_bytes_in_are_the_files_that_it_read(history):
    history.execute("r", "Gen", parameters={"input_fingerprint": OURS})
    assert find_run(history.store, "r").nodes[0].bytes_in == 15203


def test_code_is_read_by_file_and_as_one_digest_from_older_runs(history):
    code = {"a.py": "12", "penstock.components.trainer": "34"}
    history.execute("r", "New", parameters={"__code_fingerprint__": json.dumps(code)})
    history.execute("r", "Old", parameters={"__code_fingerprint__": "56"})
    assert [dict(n.code) for n in find_run(history.store, "r").nodes] == [
        code,
        {"all code": "56"},
    ]


def test_parameters_of_a_node_are_without_the_code_and_other_internals(history):
    history.execute("r", "A", parameters={"rate": 0.5, "__code_fingerprint__": "5"})
    assert find_run(history.store, "r").nodes[0].parameters == {"rate": 0.5}


def test_runs_are_listed_newest_first_and_by_pipeline(history):
    for number in range(60):
        history.execute(f"r{number}", "A", pipeline=f"p{number % 3}")
    assert [r.run_id for r in list_runs(history.store, most=3)] == ["r59", "r58", "r57"]
    found = list_runs(history.store, pipeline_name="p0", most=15)
    assert [r.run_id for r in found] == [f"r{n}" for n in range(57, 14, -3)]


def test_a_run_of_many_nodes_takes_few_calls(history):
    for number in range(150):
        history.execute("r", f"N{number}", outputs={"x": "Examples"})
    counted = Calls(history.store)
    assert len(find_run(counted, "r").nodes) == 150
    assert counted.count < 12


def test_a_run_of_which_nothing_but_its_name_was_recorded_is_told_as_such(history):
    type_id = history.store.put_context_type(proto.ContextType(name=RUN_CONTEXT))
    history.store.put_contexts([proto.Context(type_id=type_id, name="r")])
    with pytest.raises(RunError, match="has nothing of run r but its name: it ended as it began"):
        find_run(history.store, "latest")


def test_a_run_is_found_by_part_of_its_name_or_as_the_latest(history):
    for run in ("20260101-aaa", "20260102-bbb"):
        history.execute(run, "A")
    found = [find_run(history.store, text).run_id for text in ("bbb", "latest", "20260101")]
    assert found == ["20260102-bbb", "20260102-bbb", "20260101-aaa"]
    with pytest.raises(RunError, match="fits several runs: 20260101-aaa, 20260102-bbb"):
        find_run(history.store, "2026010")
