from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_metadata.proto import metadata_store_pb2 as proto

from penstock import registry
from penstock.errors import StoreError
from penstock.metadata import attempts, layout, turns
from penstock.metadata.garbage import planning as garbage
from penstock.metadata.garbage.paths import disk_size
from penstock.metadata.garbage.planning import Policy, plan_collection
from penstock.metadata.garbage.removal import collect
from penstock.metadata.garbage.snapshot import read_snapshot
from penstock.metadata.reading import places_of
from penstock_support.histories import History, Reading, new_store

LATER = datetime.now() + timedelta(days=60)
NONE_BY_AGE = Policy(keep_last=0)


@pytest.fixture
def history(tmp_path):
    return History(new_store(), tmp_path / "roots")


def root_of(history):
    return lambda name: str(history.folder / name)


def plan(history, policy=NONE_BY_AGE, now=LATER):
    return plan_collection(history.store, root_of(history), policy, now=now)


def clean(history, policy=NONE_BY_AGE, now=LATER, **more):
    return collect(history.store, root_of(history), policy, now=now, **more)


def going(planned) -> set[int]:
    return {r.artifact_id for r in planned.removals if r.artifact_id is not None}


def reason(planned, artifact_id: int) -> str:
    [found] = [
        r for r, kept in planned.kept.items() if artifact_id in [a.artifact_id for a in kept]
    ]
    return found


def artifact(history, artifact_id):
    return history.store.get_artifacts_by_id([artifact_id])[0]


def trained(history, run="r1", *, blessed=0, pushed=None, **more):
    """Record a run of four nodes; return its artifacts' ids."""
    gen = history.execute(run, "Gen", {}, {"examples": "Examples"}, **more)
    model = history.execute(
        run,
        "Trainer",
        {"examples": [gen["examples"]]},
        {"model": "Model", "log": "ModelRun"},
        **more,
    )
    evaluated = history.execute(
        run,
        "Evaluator",
        {"model": [model["model"]], "examples": [gen["examples"]]},
        {"blessing": "ModelBlessing"},
        properties={"blessing": {"blessed": blessed}},
        **more,
    )
    ids = {**gen, **model, **evaluated}
    if pushed is not None:
        properties = {"pushed": 1, "pushed_destination": str(pushed)}
        ids |= history.execute(
            run,
            "Pusher",
            {"model": [model["model"]], "model_blessing": [evaluated["blessing"]]},
            {"pushed": "PushedModel"},
            properties={"pushed": properties},
            **more,
        )
    return ids


def test_what_is_old_and_needed_by_nothing_goes(history):
    ids = trained(history)
    assert going(plan(history)) == set(ids.values())


def test_a_plan_changes_nothing(history):
    ids = trained(history)
    plan(history)
    assert all(artifact(history, i).state == proto.Artifact.LIVE for i in ids.values())
    assert all(os.path.exists(artifact(history, i).uri) for i in ids.values())


def test_what_goes_is_deleted_on_disk_and_in_the_store(history):
    ids = trained(history)
    done = clean(history)
    assert done.failed == ()
    assert {artifact(history, i).state for i in ids.values()} == {proto.Artifact.DELETED}
    assert not any(os.path.exists(artifact(history, i).uri) for i in ids.values())
    assert not list(history.folder.rglob("removing"))


def test_sizes_are_those_on_the_disk(history):
    ids = trained(history)
    Path(artifact(history, ids["model"]).uri, "weights").write_bytes(b"x" * 10_000)
    [removal] = [r for r in plan(history).removals if r.artifact_id == ids["model"]]
    assert removal.size == 10_000 + len("r1 Trainer model")
    assert clean(history).size > 10_000


def test_a_blessed_model_and_all_that_it_descends_from_stays(history):
    ids = trained(history, blessed=1)
    planned = plan(history)
    assert going(planned) == set()
    assert reason(planned, ids["examples"]) == garbage.BLESSED
    assert reason(planned, ids["log"]) == garbage.WITH_OTHERS


def test_a_registered_version_and_all_that_it_descends_from_stays_until_it_is_archived(history):
    ids = trained(history)
    registry.register(history.store, "m", ids["model"], who="ann")
    planned = plan(history)
    assert [reason(planned, ids[key]) for key in ("model", "examples", "blessing")] == (
        [garbage.REGISTERED] * 3
    )
    registry.archive(history.store, "m", 1, who="ann")
    assert ids["model"] in going(plan(history))


def test_a_blessed_version_that_was_archived_goes_unless_it_is_the_newest_blessed(history):
    old, new = trained(history, "r1", blessed=1), trained(history, "r2", blessed=1)
    for number, ids in enumerate((old, new), 1):
        registry.register(history.store, "m", ids["model"], who="ann")
        registry.archive(history.store, "m", number, who="ann")
    planned = plan(history)
    assert going(planned) == set(old.values())
    assert reason(planned, new["model"]) == garbage.BLESSED


def test_a_served_model_stays_as_long_as_it_is_in_its_place(history, tmp_path):
    for version in ("1", "2"):
        (tmp_path / "serving" / version).mkdir(parents=True)
    old = trained(history, "r1", pushed=tmp_path / "serving" / "1")
    trained(history, "r2", pushed=tmp_path / "serving" / "2")
    assert reason(plan(history), old["examples"]) == garbage.SERVED
    shutil.rmtree(tmp_path / "serving" / "1")
    assert going(plan(history)) == set(old.values())


def test_the_newest_push_stays_wherever_the_model_has_gone_since(history, tmp_path):
    ids = trained(history, pushed=tmp_path / "serving" / "1")
    assert reason(plan(history), ids["model"]) == garbage.SERVED


@pytest.mark.parametrize("place", ["serving/1", "s3://bucket/serving/1"])
def test_a_place_that_cannot_be_looked_at_counts_as_serving(history, place):
    old = trained(history, "r1", pushed=place)
    trained(history, "r2", pushed=f"{place}0")
    assert reason(plan(history), old["model"]) == garbage.SERVED


def test_the_newest_runs_of_each_pipeline_stay_with_what_they_used(history):
    first = trained(history, "r1")
    other = trained(history, "r2", pipeline="other")
    history.execute("r3", "Gen", cached={"examples": first["examples"]}, state="cached")
    planned = plan(history, Policy(keep_last=1))
    assert reason(planned, first["examples"]) == garbage.NEWEST_RUNS
    assert reason(planned, other["model"]) == garbage.NEWEST_RUNS
    assert going(planned) == {first["model"], first["log"], first["blessing"]}


def test_failed_runs_do_not_push_out_the_newest_that_went_well(history):
    good = trained(history, "r1")
    for run in ("r2", "r3", "r4"):
        history.execute(run, "Gen", {}, state="failed")
    planned = plan(history, Policy(keep_last=1))
    assert reason(planned, good["model"]) == garbage.NEWEST_RUNS


def test_files_that_are_not_on_this_machine_are_not_taken_for_gone(history):
    """A store may be shared by machines that each have a disk of their own at one path."""
    ids = trained(history)
    shutil.rmtree(artifact(history, ids["examples"]).uri)
    clean(history)
    assert artifact(history, ids["examples"]).state == proto.Artifact.LIVE
    assert artifact(history, ids["model"]).state == proto.Artifact.DELETED


def test_what_is_younger_than_asked_for_stays(history):
    ids = trained(history)
    in_a_week = datetime.now() + timedelta(days=7)
    policy = Policy(keep_last=0, older_than=timedelta(days=8))
    assert reason(plan(history, policy, in_a_week), ids["model"]) == garbage.YOUNG
    policy = Policy(keep_last=0, older_than=timedelta(days=6))
    assert going(plan(history, policy, in_a_week)) == set(ids.values())


def test_nothing_of_a_pipeline_goes_while_a_run_of_it_is_in_progress(history):
    old = trained(history, "r1")
    other = trained(history, "r2", pipeline="other")
    history.execute("r3", "Gen", {}, state="running")
    planned = plan(history)
    assert reason(planned, old["model"]) == garbage.IN_PROGRESS
    assert going(planned) == set(other.values())
    assert planned.runs_in_progress == ("r3",)


def test_inputs_of_a_run_in_progress_stay_whichever_pipeline_made_them(history):
    other = trained(history, "r1", pipeline="other")
    history.execute("r2", "Trainer", {"base": [other["model"]]}, state="running")
    assert reason(plan(history), other["model"]) == garbage.IN_PROGRESS


def test_a_run_that_changed_within_the_hour_may_still_go_on(history):
    ids = trained(history)
    planned = plan(history, Policy(0, timedelta(0)), datetime.now())
    assert reason(planned, ids["model"]) == garbage.IN_PROGRESS


def test_a_run_that_is_recorded_as_ended_is_over_at_once(history):
    ids = trained(history)
    context = history.contexts["pipeline_run", "r1"]
    context.custom_properties["state"].string_value = "done"
    history.store.put_contexts([context])
    assert going(plan(history, Policy(0, timedelta(0)), datetime.now())) == set(ids.values())


def test_a_run_that_is_resumed_is_in_progress_again(history):
    ids = trained(history)
    context = history.contexts["pipeline_run", "r1"]
    context.custom_properties["state"].string_value = "failed"
    history.store.put_contexts([context])
    attempt = attempts.begin(history.store, "r1")
    assert reason(plan(history), ids["model"]) == garbage.IN_PROGRESS
    turns.end(history.store, attempt, "failed")
    assert going(plan(history)) == set(ids.values())


def put(history, artifact_id, **changes):
    changed = artifact(history, artifact_id)
    for name, value in changes.items():
        setattr(changed, name, value)
    history.store.put_artifacts([changed])


@pytest.mark.parametrize(
    "elsewhere",
    [
        "{tmp}/elsewhere",
        "{root}",
        "{root}/Gen",
        "{root}/Gen/examples",
        "{root}/Gen/examples/99",
        "{root}/Gen/examples/1/../../../..",
        "{root}/Gen/examples/1/../2",
        "{root}/Trainer/model/1",
        "/",
        "relative/Gen/examples/1",
        "gs://bucket/Gen/examples/1",
        "",
    ],
)
def test_a_path_that_is_not_the_execution_s_own_is_never_touched(history, tmp_path, elsewhere):
    ids = trained(history)
    uri = elsewhere.format(tmp=tmp_path, root=history.folder / "p")
    put(history, ids["examples"], uri=uri)
    planned = plan(history)
    assert ids["examples"] not in going(planned)
    assert reason(planned, ids["examples"]) == garbage.OUTSIDE


def test_a_link_on_the_way_is_not_followed(history, tmp_path):
    ids = trained(history)
    uri = Path(artifact(history, ids["examples"]).uri)
    shutil.move(uri.parent, tmp_path / "precious")
    uri.parent.symlink_to(tmp_path / "precious")
    assert reason(plan(history), ids["examples"]) == garbage.OUTSIDE
    clean(history)
    assert (tmp_path / "precious" / uri.name / "data").exists()


def test_a_link_inside_an_artifact_is_removed_and_not_what_it_leads_to(history, tmp_path):
    ids = trained(history)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data").write_text("precious")
    Path(artifact(history, ids["model"]).uri, "link").symlink_to(tmp_path / "precious")
    clean(history)
    assert (tmp_path / "precious" / "data").read_text() == "precious"


def test_a_root_may_itself_be_reached_by_a_link(history, tmp_path):
    ids = trained(history)
    (tmp_path / "link").symlink_to(history.folder)
    for artifact_id in ids.values():
        uri = artifact(history, artifact_id).uri.replace(str(history.folder), f"{tmp_path}/link")
        put(history, artifact_id, uri=uri)
    done = collect(history.store, lambda name: f"{tmp_path}/link/{name}", NONE_BY_AGE, now=LATER)
    assert len(done.removed) == len(ids)


def test_where_the_root_is_not_there_nothing_is_taken_for_gone(history):
    ids = trained(history)
    shutil.move(history.folder / "p", history.folder / "unmounted")
    assert reason(plan(history), ids["model"]) == garbage.NO_ROOT
    clean(history)
    assert artifact(history, ids["model"]).state == proto.Artifact.LIVE


def test_what_was_imported_stays(history):
    imported = history.execute(
        "r", "Importer", {}, {"result": "Model"}, properties={"result": {"is_external": 1}}
    )
    assert reason(plan(history), imported["result"]) == garbage.NOT_A_RUN_S


def test_two_artifacts_with_one_path_are_kept_if_one_is(history):
    ids = trained(history)
    shared = history.execute("r2", "Importer", {}, {"result": "Model"})["result"]
    put(history, shared, uri=artifact(history, ids["model"]).uri + "/part")
    assert reason(plan(history), ids["model"]) == garbage.SHARED


def old(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "data").write_text("half")
    return path


def test_leftovers_of_executions_that_are_over_go(history):
    trained(history, blessed=1)
    history.execute("r1", "Trainer", {}, state="failed")
    node = history.folder / "p" / "Trainer"
    staging = old(node / ".system" / "executor_execution" / str(history.last_execution))
    orphan = old(node / "model" / str(history.last_execution))
    kept = old(Path(layout.kept_folder(str(node))) / "record").parent
    planned = plan(history)
    assert {(r.path, r.reason) for r in planned.removals} == {
        (str(staging), garbage.STAGED),
        (str(kept), garbage.KEPT),
        (str(orphan), garbage.UNREFERENCED),
    }
    clean(history)
    assert not staging.exists()
    assert not orphan.exists()
    assert not kept.exists()


def test_leftovers_younger_than_a_day_stay(history):
    trained(history, blessed=1)
    history.execute("r1", "Trainer", {}, state="failed")
    old(history.folder / "p" / "Trainer" / "model" / str(history.last_execution))
    soon = datetime.now() + timedelta(hours=20)
    assert plan(history, Policy(0, timedelta(0)), soon).removals == ()


def test_folders_of_executions_that_the_store_does_not_know_stay(history):
    trained(history, blessed=1)
    old(history.folder / "p" / "Trainer" / "model" / "4711")
    old(history.folder / "p" / "Unknown" / "model" / "1")
    old(history.folder / "p" / "Trainer" / "model" / "mine")
    assert plan(history).removals == ()


def test_a_folder_that_is_older_than_the_execution_of_its_number_stays(history, monkeypatch):
    """Somebody began a new store for an old root: its numbers begin anew."""
    trained(history, blessed=1)
    history.execute("r2", "Trainer", {}, state="failed")
    old(history.folder / "p" / "Trainer" / "model" / str(history.last_execution))
    assert len(plan(history).removals) == 1
    monkeypatch.setattr(garbage, "came_to_be", lambda _: 0.0)
    assert plan(history).removals == ()


def test_logs_go_with_the_last_artifact_of_their_run(history):
    trained(history, "r1")
    trained(history, "r2", blessed=1)
    for run in ("r1", "r2", "unknown"):
        old(history.folder / "p" / ".runs" / run)
    clean(history)
    assert {path.name for path in (history.folder / "p" / ".runs").iterdir()} == {"r2", "unknown"}


STEPS = ("mark", "look again", "move", "delete", "record")


class Killed(Exception):
    """In place of SIGKILL: nothing catches it."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("time", [1, 2])
def test_the_next_removal_goes_on_where_one_was_killed(history, step, time):
    gone, kept = trained(history, "r1"), trained(history, "r2", blessed=1)
    with suppress(Killed):
        clean(history, watch=_kill_at(step, time))
    for artifact_id in gone.values():
        found = artifact(history, artifact_id)
        assert found.state != proto.Artifact.LIVE or Path(found.uri, "data").exists()
    clean(history)
    assert {artifact(history, i).state for i in gone.values()} == {proto.Artifact.DELETED}
    assert {artifact(history, i).state for i in kept.values()} == {proto.Artifact.LIVE}
    assert not any(os.path.exists(artifact(history, i).uri) for i in gone.values())
    assert not list(history.folder.rglob("removing"))


def _kill_at(step: str, time: int = 1):
    """Return what ends a removal when it reaches a step for the first or second time."""
    reached: list[str] = []

    def watch(at: str) -> None:
        reached.append(at)
        if at == step and reached.count(step) == time:
            raise Killed

    return watch


def test_a_run_that_begins_meanwhile_gets_back_what_was_marked(history):
    ids = trained(history)

    def watch(step: str) -> None:
        if step == "look again":
            history.execute("r2", "Gen", {}, state="running")

    assert clean(history, watch=watch).removed == ()
    assert {artifact(history, i).state for i in ids.values()} == {proto.Artifact.LIVE}
    assert all(Path(artifact(history, i).uri, "data").exists() for i in ids.values())


def test_what_was_marked_and_is_needed_after_all_becomes_live_again(history):
    ids = trained(history)
    with pytest.raises(Killed):
        clean(history, watch=_kill_at("look again"))
    put(history, ids["blessing"], state=proto.Artifact.LIVE)
    found = artifact(history, ids["blessing"])
    found.custom_properties["blessed"].int_value = 1
    history.store.put_artifacts([found])
    clean(history)
    assert {artifact(history, i).state for i in ids.values()} == {proto.Artifact.LIVE}


def test_a_second_removal_at_the_same_time_is_refused(history):
    trained(history)

    def watch(step: str) -> None:
        if step == "mark":
            with pytest.raises(StoreError, match="another penstock gc is at work in"):
                clean(history)

    assert clean(history, watch=watch).failed == ()


def test_a_root_whose_lock_cannot_be_taken_is_a_named_error(history):
    ids = trained(history)
    (history.folder / "p" / ".gc.lock").mkdir()
    with pytest.raises(StoreError, match="nothing can be removed from .*its lock cannot be taken"):
        clean(history)
    assert artifact(history, ids["model"]).state == proto.Artifact.LIVE


def test_what_cannot_be_removed_is_told_and_the_rest_goes(history):
    ids = trained(history)
    # A file stands where the trash folder of this node should be.
    (history.folder / "p" / "Trainer" / ".system").write_text("in the way")
    done = clean(history)
    assert {r.artifact_id for r, _ in done.failed} == {ids["model"], ids["log"]}
    assert artifact(history, ids["model"]).state == proto.Artifact.MARKED_FOR_DELETION
    assert artifact(history, ids["examples"]).state == proto.Artifact.DELETED


def test_the_cache_does_not_offer_what_was_removed(run_pipeline, store, tmp_path):
    from penstock_support.example_components import training

    run_pipeline(training)
    root = str(tmp_path / "root")
    done = collect(store, lambda _: root, NONE_BY_AGE, now=LATER)
    assert len(done.removed) >= 2
    again = run_pipeline(training)
    assert {node.state.value for node in again.nodes.values()} == {"done"}


runs = st.lists(
    st.fixed_dictionaries(
        {
            "new_data": st.booleans(),
            "train": st.sampled_from(["anew", "cached", "from the last", "fails"]),
            "baseline": st.booleans(),
            "blessed": st.booleans(),
            "push": st.sampled_from(["", "stays", "is taken away"]),
        }
    ),
    min_size=1,
    max_size=8,
)


@contextmanager
def _written(ran) -> Iterator[SimpleNamespace]:
    """Write a history, and keep account of what descends from what beside the store."""
    with tempfile.TemporaryDirectory() as folder:
        history = History(new_store(), Path(folder, "roots"))
        parents: dict[int, list[int]] = {}
        needed: list[int] = []
        examples = model = blessed = None
        for number, what in enumerate(ran):
            run = f"r{number}"

            def execute(node, inputs, outputs, run=run, **more):
                given = {key: [i] for key, i in inputs.items() if i is not None}
                made = history.execute(run, node, given, outputs, **more)
                for artifact_id in made.values():
                    parents[artifact_id] = [i for [i] in given.values()]
                return made

            if examples is None or what["new_data"]:
                examples = execute("Gen", {}, {"examples": "Examples"})["examples"]
                model = model if what["train"] == "from the last" else None
            else:
                history.execute(run, "Gen", cached={"examples": examples}, state="cached")
            if what["train"] == "fails":
                execute("Trainer", {"examples": examples}, {}, state="failed")
                continue
            if what["train"] == "cached" and model is not None:
                history.execute(
                    run,
                    "Trainer",
                    {"examples": [examples]},
                    cached={"model": model},
                    state="cached",
                )
            else:
                base = model if what["train"] == "from the last" else None
                inputs = {"examples": examples, "base": base}
                model = execute("Trainer", inputs, {"model": "Model", "log": "ModelRun"})["model"]
            inputs = {"model": model, "examples": examples}
            inputs["baseline"] = blessed if what["baseline"] else None
            blessing = execute(
                "Evaluator",
                inputs,
                {"blessing": "ModelBlessing", "evaluation": "ModelEvaluation"},
                properties={"blessing": {"blessed": int(what["blessed"])}},
            )["blessing"]
            if what["blessed"]:
                blessed = model
                needed += [blessing, model]
            if what["push"]:
                destination = Path(folder, "serving", str(number))
                destination.mkdir(parents=True)
                pushed = execute(
                    "Pusher",
                    {"model": model, "blessing": blessing},
                    {"pushed": "PushedModel"},
                    properties={"pushed": {"pushed": 1, "pushed_destination": str(destination)}},
                )["pushed"]
                if what["push"] == "stays":
                    needed.append(pushed)
                else:
                    destination.rmdir()
        yield SimpleNamespace(history=history, parents=parents, needed=needed)


@settings(max_examples=60, deadline=None)
@given(ran=runs, keep_last=st.integers(0, 3), killed_at=st.sampled_from(["", *STEPS]))
def test_every_ancestor_of_a_served_or_blessed_model_is_intact_and_readable(
    ran, keep_last, killed_at
):
    with _written(ran) as written:
        history = written.history
        before = {a.id: Path(a.uri, "data").read_text() for a in history.store.get_artifacts()}
        needed: set[int] = set()
        waiting = list(written.needed)
        while waiting:
            artifact_id = waiting.pop()
            if artifact_id not in needed:
                needed.add(artifact_id)
                waiting += written.parents[artifact_id]
        policy = Policy(keep_last=keep_last)
        if killed_at:
            with suppress(Killed):
                clean(history, policy, watch=_kill_at(killed_at))
        clean(history, policy)
        after = {a.id: a for a in history.store.get_artifacts()}
        for artifact_id, found in after.items():
            if found.state == proto.Artifact.LIVE:
                assert Path(found.uri, "data").read_text() == before[artifact_id]
            else:
                assert found.state == proto.Artifact.DELETED
                assert not os.path.exists(found.uri)
        assert needed <= {i for i, found in after.items() if found.state == proto.Artifact.LIVE}
        assert clean(history, policy).removed == ()


def places_match(history) -> bool:
    snapshot = read_snapshot(history.store)
    return dict(snapshot.places) == places_of(history.store, snapshot.executions)


def test_executions_are_placed_as_each_of_them_says(history):
    for run in ("r1", "r2"):
        trained(history, run)
        trained(history, f"{run}-of-q", pipeline="q")
    assert places_match(history)


def test_executions_are_placed_though_a_node_s_name_could_be_that_of_two_pipelines(history):
    history.execute("r1", "Gen", pipeline="a.b")
    history.execute("r2", "b.Gen", pipeline="a")
    history.execute("r3", "Other", pipeline="a")
    assert places_match(history)


def test_what_no_context_has_is_placed_nowhere(history):
    kind = history.store.put_execution_type(proto.ExecutionType(name="alone"))
    history.store.put_executions([proto.Execution(type_id=kind)])
    trained(history)
    assert places_match(history)


def test_all_of_a_long_history_is_read(history):
    for number in range(130):
        history.execute(f"r{number:03}", "Gen", {}, {"examples": "Examples"})
    snapshot = read_snapshot(history.store)
    sizes = (len(snapshot.executions), len(snapshot.artifacts), len(snapshot.places))
    assert sizes == (130, 130, 130)
    assert len(plan(history, Policy(keep_last=3, older_than=timedelta(0))).removals) == 127


def test_planning_asks_for_no_execution_s_contexts_one_by_one(history, monkeypatch):
    for number in range(130):
        history.execute(f"r{number:03}", "Gen", {}, {"examples": "Examples"})
    read = Reading().install(monkeypatch)
    plan(history)
    # A call for each run, some for each page of what there is, and some more.
    assert read.calls < 130 + 40


def test_sizes_are_those_of_files_below_links_not_followed(tmp_path):
    folder = tmp_path / "artifact"
    (folder / "inner").mkdir(parents=True)
    (folder / "one").write_bytes(b"12345")
    (folder / "inner" / "two").write_bytes(b"123")
    (tmp_path / "outside").write_bytes(b"1" * 1000)
    (folder / "link").symlink_to(tmp_path / "outside")
    link = (folder / "link").lstat().st_size
    assert disk_size(str(folder)) == 8 + link
