"""What an artifact or the store names is neither imported nor unpickled.

Each attack would import a module that leaves a mark; nothing may leave it.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock import _tfx, pipeline
from penstock.artifacts import JsonValue, String
from penstock.errors import DataError, ParameterError, RunError
from penstock.metadata.store import connect, connection_config
from penstock.runners.local import State
from penstock.safety import unpickling
from penstock.surfaces.cli.main import penstock as commands
from penstock_support import reading_components as components

EVIL = "module_of_an_attacker"
OBJECT = {"__tfx_object_type__": "class", "__module__": EVIL, "__class__": "Evil"}


class Attack:
    """Unpickled, it imports the module, as any pickle can."""

    def __reduce__(self):
        return (__import__, (EVIL,))


@pytest.fixture(autouse=True)
def mark(tmp_path, monkeypatch):
    """A module that can be imported everywhere, and leaves a mark when it is."""
    folder, mark = tmp_path / "attacker", tmp_path / "mark"
    folder.mkdir()
    (folder / f"{EVIL}.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    yield mark
    assert not mark.exists(), "the attacker's module was imported"
    assert EVIL not in sys.modules


def imported(content: str | bytes, folder: Path, artifact_type: type = JsonValue):
    """Return an output that holds a value which somebody else has written."""
    file = folder / "value"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    importer = _tfx.Importer(source_uri=str(file), artifact_type=artifact_type)
    return importer.outputs["result"]


OBJECTS = [
    OBJECT,
    {"deep": [OBJECT]},
    {**OBJECT, "__tfx_object_type__": "jsonable"},
    {**OBJECT, "__tfx_object_type__": "proto", "__proto_value__": "{}"},
    {
        "__tfx_object_type__": "jsonable",
        "__module__": "tfx.types.artifact",
        "__class__": "Artifact",
        "artifact": {},
        "artifact_type": {"name": "x"},
        "__artifact_class_module__": EVIL,
        "__artifact_class_name__": "Evil",
    },
    {"__tfx_object_type__": "class", "__module__": "os", "__class__": "system"},
]


@pytest.mark.parametrize("content", OBJECTS, ids=range(len(OBJECTS)))
def test_a_value_artifact_imports_nothing(content, tmp_path):
    artifact = JsonValue()
    artifact.uri = str(tmp_path / "value")
    Path(artifact.uri).write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"it is not loaded .{artifact.uri}.. Import the class"):
        artifact.read()


def test_a_value_artifact_with_a_class_that_is_imported_already_is_read(tmp_path):
    artifact = JsonValue()
    artifact.uri = str(tmp_path / "value")
    context = _tfx.metadata_store_pb2.Context(name="x")
    Path(artifact.uri).write_text(artifact.encode({"message": context, "list": [1, None]}))
    assert artifact.read() == {"message": context, "list": [1, None]}


def test_a_node_that_reads_such_a_value_fails_with_a_named_error(run_pipeline, tmp_path):
    @pipeline
    def reading():
        return components.ReadsValue(value=imported(json.dumps(OBJECT), tmp_path))

    node = run_pipeline(reading).nodes["ReadsValue"]
    assert node.state is State.FAILED
    assert f"a value artifact asks for {EVIL}.Evil" in node.error


def test_a_parameter_that_comes_from_such_a_value_fails_its_node(run_pipeline, tmp_path):
    @pipeline
    def wired():
        value = imported(json.dumps(OBJECT), tmp_path)
        return components.TakesValue(value=value)

    node = run_pipeline(wired).nodes["TakesValue"]
    assert node.state is State.FAILED
    assert f"a value artifact asks for {EVIL}.Evil" in node.error


@pytest.mark.parametrize("name", ["module_file", "module_path", "run_fn"])
def test_an_artifact_cannot_name_the_code_that_runs(run_pipeline, tmp_path, name):
    @pipeline
    def named():
        return components.RunsCode(**{name: imported(EVIL, tmp_path, String)})

    with pytest.raises(ParameterError, match=f"{name}.*cannot be named by an artifact"):
        run_pipeline(named)


def test_the_commands_import_nothing_that_the_store_names(run_pipeline, tmp_path):
    run_pipeline(components.taking)
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        _poison(metadata.store)
    (tmp_path / "penstock.toml").write_text(
        '[pipelines]\nreading = "penstock_support.reading_components:taking"\n'
        '[profiles.default]\nmetadata = "metadata.sqlite"\npipeline_root = "root"\n'
    )
    lines = [["runs"], ["runs", "--json"], ["show", "latest"], ["show", "latest", "--json"]]
    lines += [["lineage", "1"], ["compare", "latest", "latest"], ["gc"], ["plan", "reading"]]
    for line in lines:
        done = CliRunner().invoke(commands, ["--config", str(tmp_path / "penstock.toml"), *line])
        assert done.exit_code == 0, (line, done.output, done.exception)


def test_resuming_does_not_import_the_pipeline_that_the_store_names(tmp_path, run_pipeline):
    @pipeline
    def failing():
        return components.Refuses()

    run_pipeline(failing)
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        [run] = metadata.store.get_contexts_by_type("pipeline_run")
        run.custom_properties["definition"].string_value = f"{EVIL}:Evil"
        metadata.store.put_contexts([run])
    config = tmp_path / "penstock.toml"
    config.write_text('[profiles.default]\nmetadata = "metadata.sqlite"\n')
    done = CliRunner().invoke(commands, ["--config", str(config), "resume"])
    assert isinstance(done.exception, RunError)
    assert (
        f"code that only the store names is not imported. Name it: penstock resume {run.name} "
        f"--pipeline {EVIL}:Evil" in str(done.exception)
    )


def _poison(store) -> None:
    """Write the attack wherever the store holds a text or a name."""
    text = json.dumps(OBJECT)
    for artifact in store.get_artifacts():
        artifact.custom_properties["evil"].string_value = text
        artifact.custom_properties["metrics"].string_value = json.dumps([])
        store.put_artifacts([artifact])
    [execution] = store.get_executions()
    execution.custom_properties["value"].string_value = text
    execution.custom_properties["module_file"].string_value = EVIL
    [run] = store.get_contexts_by_type("pipeline_run")
    run.custom_properties["parameter:evil"].string_value = text
    store.put_contexts([run])
    evil_type = _tfx.metadata_store_pb2.ArtifactType(name=f"{EVIL}.Evil")
    artifact = _tfx.metadata_store_pb2.Artifact(
        type_id=store.put_artifact_type(evil_type), uri="/nowhere"
    )
    event = _tfx.metadata_store_pb2.Event(type=_tfx.metadata_store_pb2.Event.OUTPUT)
    event.path.steps.add().key = "evil"
    event.path.steps.add().index = 0
    store.put_execution(execution, [(artifact, event)], [])


def test_a_pickle_of_data_is_loaded():
    import numpy

    value = {"a": [1, 2.5, "x", b"y", None], "array": numpy.array([1.0, 2.0])}
    loaded = unpickling.loads(pickle.dumps(value))
    assert loaded["a"] == value["a"]
    assert list(loaded["array"]) == [1.0, 2.0]


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_code_is_refused(protocol):
    content = pickle.dumps([Attack()], protocol=protocol)
    with pytest.raises(DataError, match="an artifact asks to load .*import__, which is no data"):
        unpickling.loads(content)


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps([1])[:-3]])
def test_a_broken_pickle_is_an_error_too(content):
    with pytest.raises(DataError, match="expected a pickle of data"):
        unpickling.loads(content)


@pytest.fixture(scope="module")
def guarded():
    """The libraries' modules that unpickle artifacts, after the guard."""
    import importlib

    unpickling.guard()
    return {name: importlib.import_module(name) for name in unpickling.GUARDED}


def test_the_analyzer_cache_of_tf_transform_is_data(guarded, tmp_path):
    cache = guarded["tensorflow_transform.beam.analyzer_cache"]
    (tmp_path / "MANIFEST").write_bytes(pickle.dumps({"x": Attack()}))
    assert cache._ManifestFile(str(tmp_path)).read() == {}
    with pytest.raises(DataError, match="which is no data"):
        cache.DatasetCacheMetadata.decode(pickle.dumps({"dataset_size": Attack()}))
    coder = guarded["tensorflow_transform.analyzers"]._QuantilesSketchCacheCoder()
    with pytest.raises(DataError, match="which is no data"):
        coder.decode_cache(pickle.dumps(Attack()))


def test_the_analyzer_cache_still_holds_what_tf_transform_puts_there(guarded):
    import pyarrow
    from tfx_bsl import sketches

    sketch = sketches.QuantilesSketch(0.01, 100, 1)
    sketch.AddValues(pyarrow.array([1.0, 2.0, 3.0]))
    coder = guarded["tensorflow_transform.analyzers"]._QuantilesSketchCacheCoder()
    again = coder.decode_cache(coder.encode_cache(sketch))
    assert again.GetQuantiles(2).to_pylist() == sketch.GetQuantiles(2).to_pylist()


def test_transform_refuses_a_cache_that_is_more_than_data(tmp_path):
    from penstock.components.transform.analyzer_cache_files import check_manifest

    (tmp_path / "MANIFEST").write_bytes(pickle.dumps({"x": Attack()}))
    with pytest.raises(DataError, match=r"which is no data.*MANIFEST"):
        check_manifest(str(tmp_path))


def test_a_transform_graph_brings_no_functions(guarded):
    from tensorflow.core.framework import attr_value_pb2

    module = guarded["tensorflow_transform.py_func.pyfunc_helper"]
    content = attr_value_pb2.AttrValue(s=pickle.dumps(Attack()))
    with pytest.raises(DataError, match="holds a pickled Python function, which is not loaded"):
        module._PyFuncDef.from_proto(content)
    own = module._PyFuncDef(b"token", len).to_proto()
    assert module._PyFuncDef.from_proto(own).func is len


def test_old_results_of_tfma_bring_no_code(guarded):
    module = guarded["tensorflow_model_analysis.writers.eval_config_writer"]
    with pytest.raises(DataError, match="which is no data"):
        module.pickle.loads(pickle.dumps(Attack()))
