"""Values in artifacts, read without importing what their content names."""

from __future__ import annotations

import json
import sys
from typing import Any

from google.protobuf.message import Message

from penstock._tfx.core import json_utils, standard_artifacts
from penstock.errors import DataError


class _ValueDecoder(json_utils._DefaultDecoder):
    """Decodes TFX's JSON without importing what it names.

    Objects are made of classes that the pipeline's own code has imported.
    """

    def _dict_to_object(self, dict_data: dict[str, Any]) -> Any:
        if json_utils._TFX_OBJECT_TYPE_KEY in dict_data:
            module = dict_data.get(json_utils._MODULE_KEY)
            name = dict_data.get(json_utils._CLASS_KEY)
            value_class = getattr(sys.modules.get(str(module)), str(name), None)
            if not _is_value_class(value_class):
                raise DataError(
                    f"a value artifact asks for {module}.{name}, which the pipeline's own code "
                    "has not imported as a class of values: it is not loaded",
                    hint="Import the class where the component that reads it is defined, or "
                    "return plain JSON.",
                )
        return super()._dict_to_object(dict_data)


def _is_value_class(value_class: Any) -> bool:
    if not isinstance(value_class, type):
        return False
    if issubclass(value_class, Message):
        return True
    # Some of TFX's own classes import what their content names.
    reads = getattr(value_class, "from_json_dict", None)
    home = getattr(reads, "__module__", "")
    return issubclass(value_class, json_utils.Jsonable) and (
        home == json_utils.__name__ or not home.startswith("tfx.")
    )


def _decode_value(artifact: Any, serialized: bytes | str) -> Any:
    try:
        return json.loads(serialized, cls=_ValueDecoder)
    except DataError as error:
        error.path = artifact.uri
        raise


def install() -> None:
    """Read values so, also where TFX reads them."""
    standard_artifacts.JsonValue.decode = _decode_value
    # It only asks whether TFX's components are installed, and imports setuptools to know.
    if "__init__" in vars(standard_artifacts._TfxArtifact):
        del standard_artifacts._TfxArtifact.__init__
