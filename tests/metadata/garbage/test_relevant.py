"""What is read of a store to remove something decides as all that the store has."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_metadata.proto import metadata_store_pb2 as proto

from penstock import registry
from penstock.errors import RegistryError
from penstock.metadata import attempts, layout, turns
from penstock.metadata.garbage import relevant
from penstock.metadata.garbage.planning import Policy, plan_from
from penstock.metadata.garbage.relevant import TooMuchError, read_relevant
from penstock.metadata.garbage.removal import collect
from penstock.metadata.garbage.snapshot import read_snapshot
from penstock.metadata.store import connect, connection_config
from penstock_support.histories import History, Reading, new_store

LATER = datetime.now() + timedelta(days=60)
ARTIFACT_STATES = ("LIVE", "DELETED", "MARKED_FOR_DELETION", "PENDING", "ABANDONED", "UNKNOWN")


def root_of(history):
    return lambda name: str(history.folder / name)


def by_all(history, policy=None, now=LATER):
    return plan_from(read_snapshot(history.store, now), root_of(history), policy or Policy(0), now)


def by_what_matters(history, policy=None, now=LATER):
    policy = policy or Policy(0)
    snapshot = read_relevant(
        history.store,
        root_of(history),
        keep_last=policy.keep_last,
        older_than=policy.older_than,
        now=now,
    )
    return plan_from(snapshot, root_of(history), policy, now)


def state_run(history, run, state):
    context = history.store.get_context_by_type_and_name("pipeline_run", run)
    context.custom_properties["state"].string_value = state
    history.store.put_contexts([context])


def state_artifact(history, artifact_id, state):
    [artifact] = history.store.get_artifacts_by_id([artifact_id])
    artifact.state = proto.Artifact.State.Value(state)
    history.store.put_artifacts([artifact])


def folder_of(history, pipeline, node, *parts):
    folder = history.folder.joinpath(pipeline, node, *map(str, parts))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").write_text("1")


runs = st.lists(
    st.fixed_dictionaries(
        {
            "pipeline": st.sampled_from(["p", "q", "p.q"]),
            "state": st.sampled_from(["done", "done", "failed", "abandoned", "running", None]),
            "node_state": st.sampled_from(["done", "done", "failed", "running"]),
            "uses": st.integers(0, 5),
            "cached": st.booleans(),
            "blessed": st.sampled_from([0, 0, 1, None]),
            "push": st.sampled_from(["", "", "stays", "is taken away"]),
            "gone": st.sampled_from(["", "state", "files", "both", "both"]),
            "states": st.lists(st.sampled_from(ARTIFACT_STATES), min_size=4, max_size=4),
            "register": st.sampled_from(["", "", "", "kept", "archived"]),
            "left": st.sets(st.sampled_from(["logs", "staging", "kept", "unreferenced"])),
            "attempt": st.sampled_from(["", "", "", "held", "over"]),
        }
    ),
    min_size=1,
    max_size=9,
)


def write(history, ran, serving):
    models: list[int] = []
    for number, what in enumerate(ran):
        run, pipeline = f"r{number}", what["pipeline"]
        base = models[-1 - what["uses"] % len(models)] if models else None
        given_models = {"base": [base]} if base is not None else {}
        state, where = what["node_state"], {"pipeline": pipeline}
        if what["cached"] and models:
            history.execute(
                run, "Trainer", given_models, cached={"model": models[-1]}, state="cached", **where
            )
            made = {"model": models[-1]}
        else:
            outputs = {"model": "Model", "log": "ModelRun"}
            made = history.execute(run, "Trainer", given_models, outputs, state=state, **where)
        models.append(made["model"])
        blessing = {} if what["blessed"] is None else {"blessed": what["blessed"]}
        blessing["current_model_id"] = made["model"]
        made |= history.execute(
            run,
            "Evaluator",
            {"model": [made["model"]]},
            {"blessing": "ModelBlessing"},
            properties={"blessing": blessing},
            **where,
        )
        if what["push"]:
            destination = serving / str(number)
            destination.mkdir(parents=True)
            properties = {"pushed": 1, "pushed_destination": str(destination)}
            made |= history.execute(
                run,
                "Pusher",
                {"model": [made["model"]]},
                {"pushed": "PushedModel"},
                properties={"pushed": properties},
                **where,
            )
            if what["push"] == "is taken away":
                destination.rmdir()
        if what["register"]:
            with suppress(RegistryError):  # a model that is gone
                registry.register(history.store, f"m{number}", made["model"], who="ann")
                if what["register"] == "archived":
                    registry.archive(history.store, f"m{number}", 1, who="ann")
        for artifact_id, artifact_state in zip(made.values(), what["states"], strict=False):
            [artifact] = history.store.get_artifacts_by_id([artifact_id])
            if what["gone"] in ("files", "both"):
                Path(artifact.uri, "data").unlink(missing_ok=True)
                Path(artifact.uri).exists() and Path(artifact.uri).rmdir()
            if what["gone"] in ("state", "both"):
                state_artifact(history, artifact_id, artifact_state)
        if what["state"] is not None:
            state_run(history, run, what["state"])
        leave(history, pipeline, run, what["left"])
        if what["attempt"]:
            attempt = attempts.begin(history.store, run)
            if what["attempt"] == "over":
                turns.end(history.store, attempt, "done")


def leave(history, pipeline, run, left):
    last, node = history.last_execution, "Evaluator"
    if "logs" in left:
        folder_of(history, pipeline, layout.RUNS, run)
    if "staging" in left:
        folder_of(history, pipeline, node, layout.SYSTEM, layout.EXECUTOR_EXECUTION, last)
    if "kept" in left:
        folder_of(history, pipeline, node, layout.SYSTEM, "kept", "1")
    if "unreferenced" in left:
        folder_of(history, pipeline, node, "other", last)


@settings(max_examples=60, deadline=None)
@given(
    ran=runs,
    keep_last=st.integers(0, 3),
    older_than=st.sampled_from([timedelta(0), timedelta(days=30), timedelta(days=90)]),
    now=st.sampled_from([LATER, datetime.now()]),
    collected=st.booleans(),
)
def test_what_is_decided_by_what_matters_is_what_all_of_the_store_decides(
    ran, keep_last, older_than, now, collected
):
    with tempfile.TemporaryDirectory() as folder:
        history = History(new_store(), Path(folder, "roots"))
        write(history, ran, Path(folder, "serving"))
        policy = Policy(keep_last, older_than)
        if collected:
            collect(history.store, root_of(history), policy, now=LATER)
        assert by_what_matters(history, policy, now) == by_all(history, policy, now)


@pytest.fixture
def history(tmp_path):
    return History(new_store(), tmp_path / "roots")


def collected(history, count):
    """Write runs that ended well, and remove all but the newest three."""
    for number in range(count):
        history.execute(f"r{number:03}", "Gen", {}, {"examples": "Examples"})
        state_run(history, f"r{number:03}", "done")
    policy = Policy(keep_last=3, older_than=timedelta(0))
    done = collect(history.store, root_of(history), policy, now=LATER)
    assert len(done.removed) == count - 3
    return policy


def test_runs_that_have_nothing_left_are_not_read(history, monkeypatch):
    policy = collected(history, 150)
    read = Reading().install(monkeypatch)
    plan = by_what_matters(history, policy)
    assert sum(map(len, plan.kept.values())) == 3
    # The runs of the 25 newest executions are, one by one.
    assert read.calls < 25 + 40


def test_what_is_not_known_to_have_an_end_is_read_however_old(history):
    policy = collected(history, 20)
    history.execute("stateless", "Gen", {}, {"examples": "Examples"}, state="running")
    for number in range(5):
        history.execute(f"later{number}", "Gen")
        state_run(history, f"later{number}", "done")
    plan = by_what_matters(history, policy)
    assert plan.runs_in_progress == ("stateless",)
    assert plan == by_all(history, policy)


def test_a_pipeline_whose_runs_all_fail_keeps_the_last_that_went_well(history):
    made = history.execute("good", "Gen", {}, {"examples": "Examples"})["examples"]
    state_run(history, "good", "done")
    for number in range(130):
        history.execute(f"bad{number}", "Gen", state="failed")
        state_run(history, f"bad{number}", "failed")
    policy = Policy(keep_last=1, older_than=timedelta(0))
    plan = by_what_matters(history, policy)
    assert [a.artifact_id for kept in plan.kept.values() for a in kept] == [made]
    assert plan == by_all(history, policy)


def test_a_run_whose_name_is_none_for_a_query_is_read(history):
    history.execute('it\'s "one"', "Gen", {}, {"examples": "Examples"})
    assert by_what_matters(history) == by_all(history)


def test_where_very_much_matters_all_is_read(history, monkeypatch):
    monkeypatch.setattr(relevant, "MOST_RUNS", 3)
    for number in range(4):
        history.execute(f"r{number}", "Gen", {}, {"examples": "Examples"})
    with pytest.raises(TooMuchError):
        by_what_matters(history)
    done = collect(history.store, root_of(history), Policy(0), now=LATER)
    assert len(done.removed) == 4


@pytest.mark.parametrize("has_queries", [True, False], ids=["with queries", "without queries"])
def test_every_database_tells_what_matters(new_address, tmp_path, has_queries):
    with connect(connection_config(new_address())) as metadata:
        metadata.store._has_queries = has_queries
        history = History(metadata.store, tmp_path / "roots")
        policy = collected(history, 6)
        history.execute("going on", "Gen", {}, {"examples": "Examples"}, state="running")
        history.execute("failed", "Gen", state="failed")
        state_run(history, "failed", "failed")
        folder_of(history, "p", "Gen", layout.SYSTEM, "kept", "1")
        plan = by_what_matters(history, policy)
        assert plan.runs_in_progress == ("going on",)
        assert sum(map(len, plan.kept.values())) == 4
        assert plan == by_all(history, policy)
