"""Versions, aliases, and what they keep apart."""

from __future__ import annotations

import shutil

import pytest

from penstock import registry
from penstock.errors import RegistryError
from penstock.metadata import journal, registered
from penstock.metadata.journal import TakenError
from penstock.metadata.registered import AliasMove, RegisteredModel
from penstock_support.histories import History, new_store
from penstock_support.registered import alter, trained

pytestmark = pytest.mark.core


@pytest.fixture
def history(tmp_path):
    return History(new_store(), tmp_path)


@pytest.fixture
def store(history):
    return history.store


def register(history, run, **how):
    return registry.register(history.store, "flights", trained(history, run, **how), who="ann")


def test_versions_are_numbered_from_one_on(history):
    assert [register(history, run).number for run in ("r1", "r2")] == [1, 2]


def test_a_version_says_what_made_it(history):
    version = register(history, "r1", span=7, auc=0.91, parameters={"steps": 5})
    [data] = version.facts["data"]
    assert (version.run_id, version.facts["node_id"]) == ("r1", "Trainer")
    assert (data["span"], data["digest"]) == (7, "data of 7")
    assert [schema["digest"] for schema in version.facts["schemas"]] == ["schema"]
    assert version.facts["parameters"] == {"steps": 5}
    assert (version.is_blessed, version.metrics[0].value) == (True, 0.91)


def test_what_is_registered_is_not_registered_a_second_time(history, store):
    model = trained(history, "r1")
    for _ in range(2):
        assert registry.register(store, "flights", model, who="ann").number == 1
    assert len(registry.read_model(store, "flights").versions) == 1


def test_the_same_model_can_be_registered_under_two_names(history, store):
    model = trained(history, "r1")
    registry.register(store, "one", model, who="ann")
    registry.register(store, "two", model, who="ann")
    assert registry.model_names(store) == ["one", "two"]


def test_a_model_that_was_altered_since_its_run_is_not_registered(history, store):
    model = trained(history, "r1")
    alter(history, model)
    with pytest.raises(RegistryError, match=r"files of the model are not those that its run made"):
        registry.register(store, "flights", model, who="ann")


def test_a_model_that_is_about_to_be_removed_is_not_registered(history, store):
    model = trained(history, "r1")
    [artifact] = store.get_artifacts_by_id([model])
    artifact.state = artifact.MARKED_FOR_DELETION
    store.put_artifacts([artifact])
    with pytest.raises(RegistryError, match=r"the model \d is marked for deletion"):
        registry.register(store, "flights", model, who="ann")


def test_only_models_are_registered(history, store):
    examples = history.execute("r1", "Gen", outputs={"examples": "Examples"})["examples"]
    with pytest.raises(RegistryError, match=r"artifact 1 is a Examples, and no Model"):
        registry.register(store, "flights", examples, who="ann")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "é", ".hidden", "x" * 101])
def test_names_are_plain(history, store, name):
    with pytest.raises(RegistryError, match="a model cannot be named"):
        registry.register(store, name, 1, who="ann")


@pytest.mark.parametrize("alias", ["", "7", "Champion", "a/b", "x" * 64])
def test_aliases_are_plain_and_no_numbers(history, store, alias):
    register(history, "r1")
    with pytest.raises(RegistryError, match="an alias cannot be named"):
        registry.move_alias(store, "flights", alias, 1, who="ann")


def test_an_alias_stands_for_the_version_that_it_was_moved_to_last(history, store):
    for run in ("r1", "r2"):
        register(history, run)
        number = registry.read_model(store, "flights").versions[-1].number
        registry.promote(store, "flights", number, who="ann")
    assert registry.resolve(store, "flights", "champion").number == 2


def test_every_move_is_kept_with_who_why_and_evidence(history, store):
    register(history, "r1")
    registry.move_alias(
        store, "flights", "shadow", 1, who="ann", why="to see", evidence={"auc": 0.9}
    )
    registry.remove_alias(store, "flights", "shadow", who="bob")
    moves = registry.read_model(store, "flights").moves
    assert [(m.who, m.before, m.to, m.why) for m in moves] == [
        ("ann", None, 1, "to see"),
        ("bob", 1, None, ""),
    ]
    assert moves[0].evidence == {"auc": 0.9}


def test_who_saw_another_version_is_told_who_moved_the_alias_and_to_what(history, store):
    for run in ("r1", "r2", "r3"):
        register(history, run)
    registry.promote(store, "flights", 1, who="ann")
    registry.promote(store, "flights", 2, who="bob", seen=1)
    with pytest.raises(
        registry.AliasMovedError,
        match=r"^alias champion of model flights should stand for version 1, and bob has moved it "
        r"to version 2 on \d{4}-\d\d-\d\d at \d\d:\d\d:\d\d\.",
    ) as error:
        registry.promote(store, "flights", 3, who="cyd", seen=1)
    assert (error.value.move.who, error.value.move.to) == ("bob", 2)


def test_a_move_that_comes_between_is_noticed(history, store, monkeypatch):
    for run in ("r1", "r2"):
        register(history, run)
    append = journal.append

    def overtaken(*arguments, **options):
        monkeypatch.setattr(journal, "append", append)
        registry.move_alias(store, "flights", "champion", 2, who="bob")
        raise TakenError("taken", None)

    monkeypatch.setattr(journal, "append", overtaken)
    with pytest.raises(registry.AliasMovedError, match=r"and bob has moved it to version 2"):
        registry.move_alias(store, "flights", "champion", 1, who="ann")


def test_a_move_of_another_alias_that_comes_between_is_no_obstacle(history, store, monkeypatch):
    register(history, "r1")
    append = journal.append

    def overtaken(*arguments, **options):
        monkeypatch.setattr(journal, "append", append)
        registry.move_alias(store, "flights", "shadow", 1, who="bob")
        raise TakenError("taken", None)

    monkeypatch.setattr(journal, "append", overtaken)
    registry.move_alias(store, "flights", "champion", 1, who="ann")
    assert registry.read_model(store, "flights").aliases == {"champion": 1, "shadow": 1}


def test_what_was_not_blessed_is_not_promoted(history, store):
    register(history, "r1", blessed=False)
    register(history, "r2", blessed=None)
    with pytest.raises(RegistryError, match=r"flights@1 is not promoted: its Evaluator did not"):
        registry.promote(store, "flights", 1, who="ann")
    with pytest.raises(RegistryError, match=r"flights@2 is not promoted: no blessing"):
        registry.promote(store, "flights", 2, who="ann")


def test_an_altered_version_is_given_out_under_no_alias(history, store):
    version = register(history, "r1")
    registry.promote(store, "flights", 1, who="ann")
    file = alter(history, version.artifact_id)
    with pytest.raises(RegistryError, match=rf"flights@1 may not be served: {file.parent} was ch"):
        registry.resolve(store, "flights", "champion")
    with pytest.raises(RegistryError, match="may not be served"):
        registry.move_alias(store, "flights", "shadow", 1, who="ann")


def test_a_version_whose_files_are_gone_is_given_out_under_no_alias(history, store):
    version = register(history, "r1")
    registry.promote(store, "flights", 1, who="ann")
    shutil.rmtree(version.uri)
    with pytest.raises(RegistryError, match=r"may not be served: .* is gone"):
        registry.resolve(store, "flights", "champion")


def test_a_rollback_goes_back_one_version_after_another(history, store):
    for run in ("r1", "r2", "r3"):
        number = register(history, run).number
        registry.promote(store, "flights", number, who="ann")
    assert [registry.rollback(store, "flights", who="bob").to for _ in range(2)] == [2, 1]
    with pytest.raises(RegistryError, match="stood for no version before 1"):
        registry.rollback(store, "flights", who="bob")


def test_a_rollback_names_a_version_that_the_alias_stood_for(history, store):
    for run in ("r1", "r2", "r3", "r4"):
        number = register(history, run).number
        if number != 2:
            registry.promote(store, "flights", number, who="ann")
    assert registry.rollback(store, "flights", to=1, who="bob").to == 1
    with pytest.raises(RegistryError, match=r"never stood for version 2 before 1. It stood for: n"):
        registry.rollback(store, "flights", to=2, who="bob")


def test_an_altered_version_is_not_rolled_back_to(history, store):
    first = register(history, "r1")
    register(history, "r2")
    for number in (1, 2):
        registry.promote(store, "flights", number, who="ann")
    alter(history, first.artifact_id)
    with pytest.raises(RegistryError, match="flights@1 may not be served"):
        registry.rollback(store, "flights", who="ann")
    assert registry.read_model(store, "flights").aliases == {"champion": 2}


def test_an_archived_version_is_given_out_no_more(history, store):
    register(history, "r1")
    registry.archive(store, "flights", 1, who="ann")
    with pytest.raises(RegistryError, match="flights@1 is archived"):
        registry.resolve(store, "flights", 1)
    registry.restore(store, "flights", 1, who="ann")
    assert registry.resolve(store, "flights", 1).number == 1


def test_what_has_an_alias_is_not_archived(history, store):
    register(history, "r1")
    registry.promote(store, "flights", 1, who="ann")
    with pytest.raises(RegistryError, match=r"flights@1 is not archived: it is champion"):
        registry.archive(store, "flights", 1, who="ann")


def test_unknown_models_versions_and_aliases_are_named_with_the_nearest(history, store):
    register(history, "r1")
    registry.promote(store, "flights", 1, who="ann")
    with pytest.raises(RegistryError, match=r"no registered model 'flihgts'. .*flights"):
        registry.read_model(store, "flihgts")
    model = registry.read_model(store, "flights")
    with pytest.raises(RegistryError, match="model flights has no version 2: it has 1"):
        model.version(2)
    with pytest.raises(RegistryError, match=r"no alias 'champoin'. .*champion"):
        model.version("champoin")


def test_versions_differ_in_data_parameters_and_metrics(history):
    before = register(history, "r1", span=1, auc=0.9, parameters={"steps": 5})
    after = register(history, "r2", span=2, auc=0.8, parameters={"steps": 9})
    found = {(d.kind, d.name): (d.before, d.after) for d in registry.difference(before, after)}
    assert found["parameter", "steps"] == (5, 9)
    assert found["metric", "auc"] == (0.9, 0.8)
    assert found["data", "CsvExampleGen"][1] == {"span": 2, "digest": "data of 2"}


def test_what_is_needed_are_versions_that_are_not_archived(history, store):
    first, second = (register(history, run) for run in ("r1", "r2"))
    registry.archive(store, "flights", 1, who="ann")
    needed = registered.needed_artifacts(registry.read_models(store))
    assert second.artifact_ids <= needed
    assert not first.artifact_ids & needed


def moved(*steps: tuple[str, int]) -> RegisteredModel:
    at = registered.datetime.min
    return RegisteredModel(
        "m",
        moves=tuple(
            AliasMove("a", kind, None, to, "ann", at, number=n)
            for n, (kind, to) in enumerate(steps)
        ),
    )


@pytest.mark.parametrize(
    ("steps", "earlier"),
    [
        ([("promote", 1)], []),
        ([("promote", 1), ("promote", 2), ("promote", 3)], [2, 1]),
        ([("promote", 1), ("promote", 2), ("rollback", 1)], []),
        ([("promote", 1), ("promote", 2), ("promote", 1)], [2]),
        ([("promote", 1), ("promote", 2), ("rollback", 1), ("promote", 3)], [1]),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 1)], []),
    ],
)
def test_what_was_rolled_back_from_is_not_rolled_back_to(steps, earlier):
    assert moved(*steps).earlier("a") == earlier
