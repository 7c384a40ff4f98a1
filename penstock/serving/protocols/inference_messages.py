"""The Open Inference Protocol's messages over gRPC, to its form over HTTP and back.

Both carry the same tensors: over HTTP their bytes follow JSON that describes them. So the workers
know one form. A request with typed contents is answered by typed contents, one with raw bytes by
raw bytes.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from penstock.errors import DataError
from penstock.serving.protocols.inference import ALL_BINARY, BYTES, KINDS, SIZE, array_of, packed

# The field of a tensor's contents for each datatype; FP16 has none, and comes as raw bytes.
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def body_of(request: Any) -> tuple[bytes, int]:
    """Return a ModelInferRequest as a body, and how many of its bytes are JSON.

    Raises:
      DataError: a tensor's contents are not of its datatype, or some tensors are raw and some not.
    """
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise DataError(
            f"expected raw contents for {len(request.inputs)} inputs, got {len(raw)} of them"
        )
    pieces = raw or [_packed(tensor) for tensor in request.inputs]
    content = {
        "id": request.id,
        "parameters": {ALL_BINARY: True},
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": list(tensor.shape),
                "parameters": {SIZE: len(piece)},
            }
            for tensor, piece in zip(request.inputs, pieces, strict=True)
        ],
    }
    if request.outputs:
        content["outputs"] = [{"name": output.name} for output in request.outputs]
    head = json.dumps(content).encode()
    return b"".join((head, *pieces)), len(head)


def _packed(tensor: Any) -> bytes:
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        # Refused where datatypes are known; FP16 has no contents but raw ones.
        return b""
    given = [name.name for name, _ in tensor.contents.ListFields()]
    if given not in ([], [field]):
        raise DataError(
            f"expected {field} for {tensor.datatype}, got {', '.join(given)}", column=tensor.name
        )
    values = list(getattr(tensor.contents, field))
    if tensor.datatype == BYTES:
        return packed(values, BYTES)
    wide = np.array(values)
    fitting = wide.astype(KINDS[tensor.datatype])
    if tensor.datatype not in ("FP32", "FP64") and not np.array_equal(wide, fitting):
        wrong = next(value for value, fits in zip(wide, fitting, strict=True) if value != fits)
        raise DataError(f"{wrong} is no {tensor.datatype}", column=tensor.name)
    return fitting.tobytes()


def fill(response: Any, body: bytes, head: int, *, is_raw: bool) -> None:
    """Put an answer into a ModelInferResponse."""
    content = json.loads(body[:head] if head else body)
    response.model_name = content["model_name"]
    response.model_version = content["model_version"]
    response.id = content.get("id") or ""
    place = head
    for output in content["outputs"]:
        tensor = response.outputs.add(
            name=output["name"], datatype=output["datatype"], shape=output["shape"]
        )
        size = output["parameters"][SIZE]
        data, place = body[place : place + size], place + size
        if is_raw:
            response.raw_output_contents.append(data)
        else:
            values = array_of(data, output["datatype"], output["name"]).tolist()
            getattr(tensor.contents, _CONTENTS[output["datatype"]]).extend(values)
