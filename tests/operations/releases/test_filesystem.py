"""A folder that TensorFlow Serving watches: whole versions in it, and labels in its file."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from penstock.operations.releases.targets.filesystem import ServingFolder
from penstock.operations.releases.targets.protocol import (
    FAILED,
    LOADING,
    READY,
    AwayError,
    Standing,
    TargetError,
)
from penstock.serving.routes import Routes, Servable, Share


@pytest.fixture
def models(tmp_path) -> Path:
    for number in (1, 2):
        folder = tmp_path / "models" / str(number)
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"graph {number}")
        (folder / "variables" / "variables.index").write_text("index")
    return tmp_path / "models"


def servable(models: Path, number: int) -> Servable:
    return Servable(number, str(models / str(number)))


@pytest.fixture
def target(tmp_path, models) -> ServingFolder:
    """A folder in which the first version serves."""
    folder = ServingFolder("flights", str(tmp_path / "served"), base_path="/models/flights")
    folder.prepare(servable(models, 1))
    folder.shift(Routes(1, token="first"))
    return folder


def text(target: ServingFolder) -> str:
    return Path(target.folder, "models.config").read_text()


def labels(target: ServingFolder) -> dict[str, int]:
    found = re.findall(r'key: "(\w+)"\s+value: (\d+)', text(target))
    return {label: int(number) for label, number in found}


def versions(target: ServingFolder) -> list[int]:
    return [int(number) for number in re.findall(r"versions: (\d+)", text(target))]


def test_nothing_was_released_yet(tmp_path):
    assert ServingFolder("flights", str(tmp_path)).describe() == Standing()


def test_a_version_is_copied_and_loaded_without_a_label(target, models):
    assert target.prepare(servable(models, 2)) == READY
    copied = Path(target.folder, "flights", "2")
    assert (copied / "saved_model.pb").read_text() == "graph 2"
    assert (versions(target), labels(target)) == ([1, 2], {"stable": 1, "canary": 1})


def test_labels_follow_the_routes(target, models):
    target.prepare(servable(models, 2))
    target.shift(Routes(1, canary=Share(2, 10), token="canary"))
    assert labels(target) == {"stable": 1, "canary": 2}
    target.shift(Routes(2, token="all"))
    target.remove(1)
    assert (labels(target), versions(target)) == ({"stable": 2, "canary": 2}, [2])
    assert target.describe() == Standing(Routes(2, token="all"), {2: READY})
    assert Path(target.folder, "flights", "1").is_dir()


def test_the_file_is_what_the_server_reads(target, models):
    target.prepare(servable(models, 2))
    target.shift(Routes(1, canary=Share(2, 10), token="canary"))
    assert "\n".join(text(target).splitlines()[1:]) == (
        'model_config_list {\n  config {\n    name: "flights"\n'
        '    base_path: "/models/flights"\n    model_platform: "tensorflow"\n'
        "    model_version_policy {\n      specific {\n        versions: 1\n"
        "        versions: 2\n      }\n    }\n"
        '    version_labels {\n      key: "stable"\n      value: 1\n    }\n'
        '    version_labels {\n      key: "canary"\n      value: 2\n    }\n  }\n}'
    )


def model_server_config() -> Any:
    """Return a message as TensorFlow Serving's, of the fields by their names and numbers there."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    kinds = {"text": field.TYPE_STRING, "number": field.TYPE_INT64}
    messages = {
        "Specific": [("versions", 1, "number", True)],
        "Policy": [("specific", 102, "Specific", False)],
        "Label": [("key", 1, "text", False), ("value", 2, "number", False)],
        "Model": [
            ("name", 1, "text", False),
            ("base_path", 2, "text", False),
            ("model_platform", 4, "text", False),
            ("model_version_policy", 7, "Policy", False),
            ("version_labels", 8, "Label", True),
        ],
        "Models": [("config", 1, "Model", True)],
        "Config": [("model_config_list", 1, "Models", False)],
    }
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="tests", syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for title, number, kind, several in fields:
            label = field.LABEL_REPEATED if several else field.LABEL_OPTIONAL
            made = message.field.add(name=title, number=number, label=label)
            made.type = kinds.get(kind, field.TYPE_MESSAGE)
            if kind not in kinds:
                made.type_name = f".tests.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tests.Config"))()


def test_the_file_is_a_message_of_the_server_s_type(target, models):
    from google.protobuf import text_format

    target.prepare(servable(models, 2))
    target.shift(Routes(1, canary=Share(2, 10), token="canary"))
    [found] = text_format.Parse(text(target), model_server_config()).model_config_list.config
    assert (found.name, list(found.model_version_policy.specific.versions)) == ("flights", [1, 2])
    assert {label.key: label.value for label in found.version_labels} == {"stable": 1, "canary": 2}


def test_a_copy_that_is_interrupted_leaves_no_version(target, models, monkeypatch):
    import shutil

    def break_off(source, to):
        Path(to).mkdir()
        (Path(to) / "saved_model.pb").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", break_off)
    with pytest.raises(AwayError, match="No space left on device"):
        target.prepare(servable(models, 2))
    assert [path.name for path in Path(target.folder, "flights").iterdir()] == ["1"]
    assert versions(target) == [1]


def test_preparing_twice_is_preparing_once(target, models):
    target.prepare(servable(models, 2))
    before = text(target)
    target.prepare(servable(models, 2))
    assert text(target) == before


def test_a_folder_of_somebody_else_is_not_taken_for_the_version(target, models):
    other = Path(target.folder, "flights", "2")
    other.mkdir()
    (other / "saved_model.pb").write_text("another")
    with pytest.raises(TargetError, match="has other files than version 2 of flights"):
        target.prepare(servable(models, 2))


def test_a_file_of_somebody_else_is_left(target):
    Path(target.folder, "models.config").write_text("model_config_list {}")
    with pytest.raises(TargetError, match="models.config is not known"):
        target.describe()


def test_two_models_share_a_file(target, models):
    other = ServingFolder("penguins", target.folder)
    other.prepare(servable(models, 1))
    other.shift(Routes(1, token="penguins"))
    assert target.describe().routes.token == "first"
    assert text(target).count("  config {") == 2
    assert 'base_path: "/models/flights"' in text(target)


def test_a_version_with_a_label_is_not_removed(target):
    with pytest.raises(TargetError, match="version 1 of flights has a label"):
        target.remove(1)


def test_a_label_for_a_version_that_is_not_there_is_refused(target):
    with pytest.raises(TargetError, match="version 7 of flights is not in the folder"):
        target.shift(Routes(7, token="seven"))


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("AVAILABLE", "OK", READY),
        ("LOADING", "OK", LOADING),
        ("END", "NOT_FOUND", FAILED),
        (None, "", LOADING),
    ],
)
def test_a_version_is_ready_when_the_server_says_so(target, models, state, code, expected):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            told = {"version": "2", "state": state, "status": {"error_code": code}}
            content = json.dumps({"model_version_status": [told]}).encode()
            self.send_response(200 if state else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    asked = ServingFolder("flights", target.folder, url=url)
    assert asked.prepare(servable(models, 2)) == expected
    server.shutdown()
    server.server_close()
