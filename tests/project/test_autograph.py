"""What AutoGraph makes of libraries' functions is kept, and is what it would make."""

from __future__ import annotations

import colorsys
import importlib
import sys
import threading
from pathlib import Path

import pytest

from penstock.project import autograph

pytestmark = pytest.mark.needs("tensorflow")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "cache" / "penstock" / "autograph"


@pytest.fixture
def new_process(folder, monkeypatch):
    """Return what makes AutoGraph one that has converted nothing yet; it is as it was after."""
    from tensorflow.python.autograph.impl import api
    from tensorflow.python.autograph.pyct import cache

    def begin(*, keeps: bool = True) -> None:
        monkeypatch.setattr(api._TRANSPILER, "_cache", cache.CodeObjectCache())
        autograph._makers.cache_clear()
        if keeps:
            autograph.keep()

    return begin


@pytest.fixture
def conversions(monkeypatch):
    """Return the names of functions that are converted from now on."""
    from tensorflow.python.autograph.impl import api

    found: list[str] = []
    transform = api.PyToTF.transform_ast

    def transform_ast(self, node, context):
        found.append(context.info.name)
        return transform(self, node, context)

    monkeypatch.setattr(api.PyToTF, "transform_ast", transform_ast)
    return found


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Return a module that counts as installed."""
    path = tmp_path / "installed_library.py"
    path.write_text("def times(x):\n  if x > 0:\n    x = x * 2\n  return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(autograph, "is_of_others", lambda _: True)
    autograph._is_kept_of.cache_clear()
    yield importlib.import_module("installed_library")
    del sys.modules["installed_library"]
    autograph._is_kept_of.cache_clear()


def converted(function=colorsys.hls_to_rgb):
    import tensorflow as tf

    return tf.autograph.to_graph(function)


def graph(function=colorsys.hls_to_rgb):
    import tensorflow as tf

    numbers = [tf.TensorSpec([], tf.float32)] * 3
    definition = tf.function(function).get_concrete_function(*numbers).graph.as_graph_def()
    return {
        (node.name.rpartition("_")[0] or node.name, node.op)
        for part in (definition.node, *(each.node_def for each in definition.library.function))
        for node in part
    }


def test_a_function_of_a_library_is_converted_once_for_all_processes(new_process, conversions):
    new_process()
    converted()
    new_process()
    converted()
    assert conversions == ["tf__hls_to_rgb"]


def test_what_is_found_computes_what_was_converted(new_process):
    import tensorflow as tf

    new_process()
    tf.function(colorsys.hls_to_rgb)(*map(tf.constant, (0.2, 0.4, 0.6)))
    new_process()
    found = tf.function(colorsys.hls_to_rgb)(*map(tf.constant, (0.2, 0.4, 0.6)))
    assert [float(each) for each in found] == pytest.approx(colorsys.hls_to_rgb(0.2, 0.4, 0.6))


def test_graphs_are_those_of_tensorflows_own_conversion(new_process):
    new_process(keeps=False)
    own = graph()
    new_process()
    assert graph() == own
    new_process()
    assert graph() == own


def test_places_in_the_source_are_told_as_by_tensorflows_own_conversion(new_process):
    def places(function):
        return {line.lineno: origin for line, origin in function.ag_source_map.items()}

    new_process()
    own = places(converted())
    new_process()
    found = converted()
    assert places(found) == own
    assert {line.filename for line in found.ag_source_map} == {found.ag_module.__file__}


def test_the_source_can_be_looked_at(new_process):
    import inspect

    new_process()
    own = inspect.getsource(converted())
    new_process()
    assert inspect.getsource(converted()) == own


def test_functions_of_a_users_are_not_kept(new_process, folder):
    new_process()
    assert converted(lambda x: x)(3) == 3
    assert not folder.exists()


def test_a_library_that_was_edited_is_converted_anew(new_process, library, tmp_path):
    new_process()
    assert converted(library.times)(2) == 4
    path = tmp_path / "installed_library.py"
    path.write_text(path.read_text().replace("* 2", "* 7 "))
    changed = importlib.reload(library)
    new_process()
    assert converted(changed.times)(2) == 14


def test_another_version_of_tensorflow_converts_anew(new_process, conversions, monkeypatch):
    import tensorflow as tf

    new_process()
    converted()
    monkeypatch.setattr(tf, "__version__", "99.0")
    new_process()
    converted()
    assert len(conversions) == 2


def test_other_options_are_another_conversion(new_process, conversions):
    import tensorflow as tf

    new_process()
    converted()
    new_process()
    tf.autograph.to_graph(colorsys.hls_to_rgb, recursive=False)
    assert len(conversions) == 2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.99])
def test_what_is_spoilt_is_converted_and_kept_anew(new_process, conversions, folder, share):
    new_process()
    converted()
    [kept] = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: int(len(whole) * share)])
    new_process()
    converted()
    assert len(conversions) == 2
    assert kept.read_bytes() == whole


def test_without_a_folder_all_is_converted(new_process, conversions, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        new_process()
        converted()
    assert len(conversions) == 2


def test_a_folder_that_others_can_look_into_is_not_used(new_process, folder, conversions):
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for _ in range(2):
        new_process()
        converted()
    assert len(conversions) == 2
    assert list(folder.iterdir()) == []


def test_nothing_is_written_where_no_bytecode_is(new_process, folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    new_process()
    converted()
    assert list(folder.iterdir()) == []


def test_who_wants_to_see_autograph_at_work_sees_it(new_process, conversions):
    import tensorflow as tf

    new_process()
    converted()
    new_process()
    tf.autograph.set_verbosity(1)
    try:
        converted()
    finally:
        tf.autograph.set_verbosity(0)
    assert len(conversions) == 2


def test_closures_are_those_of_the_function_at_hand(new_process):
    from contextlib import contextmanager

    def managers():
        def first():
            yield 1

        def second():
            yield 2

        return [contextmanager(first), contextmanager(second)]

    def entered():
        return [converted(each)().__enter__() for each in managers()]

    new_process()
    assert entered() == [1, 2]
    new_process()
    assert entered() == [1, 2]


def test_threads_that_ask_at_once_all_get_it(new_process):
    new_process()
    converted()
    new_process()
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(converted().__name__)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["tf__hls_to_rgb"] * 8


def test_another_tensorflow_without_this_cache_converts_as_ever(monkeypatch):
    from tensorflow.python.autograph.impl import api

    monkeypatch.setattr(api, "_TRANSPILER", object())
    autograph.keep()
    assert not hasattr(api._TRANSPILER, "_cache")


def test_the_cache_is_taken_on_when_tensorflow_is_imported(tmp_path):
    import subprocess

    told = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from penstock.project import autograph\n"
            "autograph.keep()\n"
            "import tensorflow as tf\n"
            "from tensorflow.python.autograph.impl import api\n"
            "print(type(api._TRANSPILER._cache).__module__)",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert told.stdout == "penstock.project.autograph\n", told.stderr
    assert not list(Path(tmp_path).iterdir())
