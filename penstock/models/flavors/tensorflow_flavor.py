"""TensorFlow: SavedModels, as TFX's layout has them, called by their signature."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penstock.errors import DataError, suggestion
from penstock.models.class_names import read_classes
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.predictions import array_of, fixed_lists
from penstock.models.signature import Column, Signature

NAME = "tensorflow"
MODULES = ("tensorflow",)
PACKAGES = ("tensorflow", "numpy")

MODEL_FILE = "saved_model.pb"
SIGNATURE = "serving_default"

_PARSING = ("ParseExampleV2", "ParseExample")


def recognizes(model: Any) -> bool:
    """Return whether a model is a `tf.Module` with signatures to be saved."""
    return comes_from(model, "tensorflow")


def is_in(directory: str) -> bool:
    """Return whether there is a SavedModel."""
    return os.path.isfile(os.path.join(directory, MODEL_FILE))


def inputs_of(model: Any) -> Sequence[str] | None:
    """Return None: the signature says it when the model is saved."""
    del model
    return None


def save(model: Any, saving: Saving) -> Mapping[str, Any]:
    """Write a SavedModel with the `signatures` that `options` name, or the module's own."""
    import tensorflow

    signatures = saving.options.get("signatures") or getattr(model, "signatures", None)
    if not signatures:
        raise DataError(
            f"a tf.Module is saved with its signatures, and {type(model).__name__} has none",
            hint="Give them: options={'signatures': {'serving_default': function}}.",
        )
    tensorflow.saved_model.save(model, saving.directory, signatures=signatures)
    return {}


def load(loading: Loading) -> Predictor:
    """Return the predictor of a SavedModel: what its signature gives, by the names it has there.

    A signature that parses tf.Examples gets them made of the columns; another gets each column by
    the name of its argument.
    """
    import tensorflow

    model = _loaded(loading.directory)
    arguments = _function(model, loading.directory).structured_input_signature[1]
    parses = _parsing_of(_meta_graph(loading.directory)) is not None

    def predict(table: Any) -> Any:
        if parses:
            (name,) = arguments
            given = {name: tensorflow.constant(_examples(table), tensorflow.string)}
        else:
            given = {name: _tensor(table, name, spec) for name, spec in arguments.items()}
        # By way of the model: its variables live as long as it does.
        return _table(_function(model, loading.directory)(**given))

    return predict


def signature_in(directory: str) -> Signature | None:
    """Return the columns that the signature takes, or parses of tf.Examples; reads one file."""
    graph = _meta_graph(directory)
    definition = _definition(graph)
    if definition is None:
        return None
    outputs = [_column_of(name, info) for name, info in sorted(definition.outputs.items())]
    classes = read_classes(directory)
    known = tuple(_with_classes(c, classes.get(c.name)) for c in outputs if c is not None)
    parsing = _parsing_of(graph)
    if parsing is not None:
        parsed = _parsed_columns(*parsing)
        return None if parsed is None else Signature(parsed, known)
    columns = [_column_of(name, info) for name, info in sorted(definition.inputs.items())]
    if any(column is None for column in columns):
        return None
    return Signature(tuple(column for column in columns if column), known)


def parses_examples(directory: str) -> bool:
    """Return whether the signature takes serialized tf.Examples; reads one file."""
    return _parsing_of(_meta_graph(directory)) is not None


def signature_name(directory: str) -> str:
    """Return the name of the signature by which the model is asked; "" if it has none."""
    return _named_definition(_meta_graph(directory))[0]


@dataclass(frozen=True)
class AskedSignature:
    """A signature of a SavedModel that takes serialized examples; `method` is its kind.

    `ask` returns its outputs for some records, as arrays by their names.
    """

    name: str
    argument: str
    method: str
    ask: Callable[[Sequence[bytes]], Mapping[str, Any]]


def asked_signature(directory: str, name: str = "") -> AskedSignature | None:
    """Return a signature of a SavedModel, by default the one that it is asked by.

    None where it takes no serialized examples.

    Raises:
      DataError: there is no such signature.
    """
    import tensorflow

    graph = _meta_graph(directory)
    named = name or _named_definition(graph)[0]
    if named not in graph.signature_def:
        known = [key for key in graph.signature_def if not key.startswith("__")]
        raise DataError(
            f"the model has no signature {named or SIGNATURE!r}",
            path=directory,
            hint=suggestion(named or SIGNATURE, known, noun="signature"),
        )
    definition = graph.signature_def[named]
    arguments = list(definition.inputs.items())
    if len(arguments) != 1 or arguments[0][1].dtype != tensorflow.string.as_datatype_enum:
        return None
    [(argument, _)] = arguments
    model = _loaded(directory)

    def ask(records: Sequence[bytes]) -> Mapping[str, Any]:
        given = {argument: tensorflow.constant(list(records), tensorflow.string)}
        outputs = model.signatures[named](**given)
        return {output: tensor.numpy() for output, tensor in sorted(outputs.items())}

    return AskedSignature(named, argument, definition.method_name, ask)


def requests_of(directory: str, table: Any) -> Iterator[dict[str, Any]]:
    """Yield what the signature is given for each row of a table: arrays of one row, by argument."""
    import tensorflow

    graph = _meta_graph(directory)
    definition = _definition(graph)
    if _parsing_of(graph) is not None:
        [name] = definition.inputs
        for record in _examples(table):
            yield {name: np.array([record], object)}
        return
    given = {}
    for name, info in definition.inputs.items():
        shape = None if info.tensor_shape.unknown_rank else _sizes(info.tensor_shape)
        given[name] = _tensor(table, name, tensorflow.TensorSpec(shape, info.dtype)).numpy()
    for row in range(table.num_rows):
        yield {name: values[row : row + 1] for name, values in given.items()}


def _meta_graph(directory: str) -> Any:
    """Return the graph of a SavedModel with its signatures, as a message."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    path = os.path.join(directory, MODEL_FILE)
    message = saved_model_pb2.SavedModel()
    try:
        with open(path, "rb") as file:
            message.ParseFromString(file.read())
        return next(graph for graph in message.meta_graphs if "serve" in graph.meta_info_def.tags)
    except (OSError, DecodeError, StopIteration) as error:
        raise DataError(
            f"expected a SavedModel to serve: {type(error).__name__}: {error}", path=path
        ) from error


def _definition(graph: Any) -> Any:
    return _named_definition(graph)[1]


def _named_definition(graph: Any) -> tuple[str, Any]:
    signatures = {
        name: definition
        for name, definition in graph.signature_def.items()
        if not name.startswith("__")
    }
    if SIGNATURE in signatures:
        return SIGNATURE, signatures[SIGNATURE]
    return next(iter(signatures.items())) if len(signatures) == 1 else ("", None)


def _loaded(directory: str) -> Any:
    import tensorflow

    try:
        return tensorflow.saved_model.load(directory)
    except Exception as error:  # what is in the files decides what TensorFlow raises
        raise DataError(
            f"cannot read the SavedModel: {type(error).__name__}: "
            f"{(str(error).strip() or 'no message').splitlines()[0]}",
            path=directory,
        ) from error


def _function(model: Any, directory: str) -> Any:
    signatures = getattr(model, "signatures", {})
    if SIGNATURE in signatures:
        return signatures[SIGNATURE]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    raise DataError(
        f"a SavedModel should have a signature {SIGNATURE!r}, and this one has "
        f"{', '.join(map(repr, signatures)) or 'none'}",
        path=directory,
        hint="Save it with signatures={'serving_default': function}.",
    )


def _examples(table: Any) -> list[bytes]:
    from penstock.data.coding import examples

    batches = table.combine_chunks().to_batches()
    return [record for batch in batches for record in examples.encode(batch)]


def _tensor(table: Any, name: str, spec: Any) -> Any:
    import tensorflow

    array = array_of(table, name)
    if array.dtype.kind == "O":
        tensor = tensorflow.constant([b"" if v is None else v for v in array], spec.dtype)
    else:
        tensor = tensorflow.constant(array, spec.dtype)
    if spec.shape.rank is not None and spec.shape.rank != tensor.shape.rank:
        sizes = [-1 if size is None else size for size in spec.shape[1:]]
        tensor = tensorflow.reshape(tensor, [len(array), *sizes])
    return tensor


def _table(outputs: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    columns = {}
    for name, tensor in sorted(outputs.items()):
        array = tensor.numpy()
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.dtype.kind == "O":
            columns[name] = _texts(array)
        else:
            columns[name] = pa.array(array) if array.ndim == 1 else fixed_lists(array)
    return pa.table(columns)


def _texts(array: Any) -> Any:
    import pyarrow as pa

    flat = pa.array(array.reshape(-1), pa.binary())
    with contextlib.suppress(pa.ArrowInvalid):  # bytes that are no text
        flat = flat.cast(pa.string())
    for size in reversed(array.shape[1:]):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat


def _column_of(name: str, info: Any) -> Column | None:
    """Return the column for a `TensorInfo`, whose first dimension is that of the rows."""
    import tensorflow

    kind = _type_of(tensorflow.dtypes.as_dtype(info.dtype))
    if kind is None or info.tensor_shape.unknown_rank:
        return None
    sizes = _sizes(info.tensor_shape)[1:]
    return Column(name, kind, () if sizes in ((), (1,)) else sizes)


def _with_classes(column: Column, classes: Sequence[Any] | None) -> Column:
    """Return an output with its classes, if it has a number for each, or one for two of them."""
    if classes is None or column.type not in ("float32", "float64"):
        return column
    fits = column.shape in ((len(classes),), (None,)) or (not column.shape and len(classes) == 2)
    return replace(column, classes=tuple(classes)) if fits else column


def _sizes(shape: Any) -> tuple[int | None, ...]:
    return tuple(dim.size if dim.size >= 0 else None for dim in shape.dim)


def _type_of(dtype: Any) -> str | None:
    if dtype.is_bool:
        return "bool"
    if dtype.is_integer:
        return "int64"
    if dtype.is_floating:
        return "float64" if dtype.size == 8 else "float32"
    return "string" if dtype.name == "string" else None


def _parsing_of(graph: Any) -> tuple[dict[str, Any], Any] | None:
    """Return the node by which a signature's only argument is parsed, and the nodes beside it."""
    definition = _definition(graph)
    if definition is None or len(definition.inputs) != 1:
        return None
    (argument,) = definition.inputs.values()
    taken = argument.name.partition(":")[0]
    bodies = {body.signature.name: body.node_def for body in graph.graph_def.library.function}
    nodes = list(graph.graph_def.node)
    waiting = [(nodes, [n for n in nodes if any(_is_of(i, taken) for i in n.input)])]
    seen: set[str] = set()
    while waiting:
        beside, reached = waiting.pop(0)
        for node in reached:
            if node.op in _PARSING:
                return {n.name: n for n in beside}, node
            for attribute in node.attr.values():
                name = attribute.func.name
                if name in bodies and name not in seen:
                    seen.add(name)
                    waiting.append((list(bodies[name]), list(bodies[name])))
    return None


def _is_of(tensor: str, node: str) -> bool:
    return tensor.removeprefix("^").partition(":")[0] == node


def _parsed_columns(nodes: Mapping[str, Any], node: Any) -> tuple[Column, ...] | None:
    """Return the columns that a node parses; None where the graph does not say."""
    import tensorflow

    def constant(position: int) -> Any:
        given = nodes[node.input[position].partition(":")[0]]
        return tensorflow.make_ndarray(given.attr["value"].tensor)

    def has_default(position: int) -> bool:
        # Where there is none, it is a constant of no values.
        given = nodes[node.input[position].partition(":")[0]]
        return given.op != "Const" or constant(position).size > 0

    columns = []
    try:
        # serialized, names, sparse_keys, dense_keys, ragged_keys, then a default for each dense key
        sparse = zip(constant(2), node.attr["sparse_types"].list.type, strict=True)
        columns += [Column(k.decode(), _number_type(t), (None,), optional=True) for k, t in sparse]
        dense = zip(
            constant(3),
            node.attr["Tdense"].list.type,
            node.attr["dense_shapes"].list.shape,
            strict=True,
        )
        for index, (key, kind, shape) in enumerate(dense):
            sizes = _sizes(shape)
            columns.append(
                Column(
                    key.decode(),
                    _number_type(kind),
                    () if sizes in ((), (1,)) else sizes,
                    optional=has_default(5 + index),
                )
            )
    except (KeyError, ValueError, TypeError):
        return None
    return tuple(columns)


def _number_type(kind: int) -> str:
    import tensorflow

    return _type_of(tensorflow.dtypes.as_dtype(kind)) or "string"
