"""TensorFlow: SavedModels, as TFX's layout has them, called by their signature."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.predictions import array_of, fixed_lists
from penstock.models.signature import Column, Signature

NAME = "tensorflow"
MODULES = ("tensorflow",)
PACKAGES = ("tensorflow", "numpy")

MODEL_FILE = "saved_model.pb"
SIGNATURE = "serving_default"

_PARSING = "ParseExampleV2"


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
    function = _function(model, loading.directory)
    arguments = function.structured_input_signature[1]
    parses = len(arguments) == 1 and any(True for _ in _parsing_nodes(function))

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
    """Return the columns that the signature takes, or that it parses of tf.Examples."""
    function = _function(_loaded(directory), directory)
    arguments = function.structured_input_signature[1]
    outputs = tuple(
        column
        for name, spec in sorted(function.structured_outputs.items())
        if (column := _column_of(name, spec)) is not None
    )
    parsed = list(_parsing_nodes(function))
    if len(arguments) == 1 and parsed:
        (graph, node), *_ = parsed
        return Signature(tuple(_parsed_columns(graph, node)), outputs)
    columns = [_column_of(name, spec) for name, spec in sorted(arguments.items())]
    if any(column is None for column in columns):
        return None
    return Signature(tuple(column for column in columns if column), outputs)


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


def _column_of(name: str, spec: Any) -> Column | None:
    kind = _type_of(spec.dtype)
    if kind is None or spec.shape.rank is None:
        return None
    sizes = tuple(spec.shape.as_list()[1:])
    return Column(name, kind, () if sizes in ((), (1,)) else sizes)


def _type_of(dtype: Any) -> str | None:
    if dtype.is_bool:
        return "bool"
    if dtype.is_integer:
        return "int64"
    if dtype.is_floating:
        return "float64" if dtype.size == 8 else "float32"
    return "string" if dtype.name == "string" else None


def _parsing_nodes(function: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the nodes that parse tf.Examples, with the nodes beside them by name."""
    graph = function.graph.as_graph_def()
    called = {attribute.func.name for n in graph.node for attribute in n.attr.values()}
    bodies = {f.signature.name: f.node_def for f in graph.library.function}
    waiting, seen = [list(graph.node)], set(called)
    waiting += [list(bodies[name]) for name in called if name in bodies]
    while waiting:
        nodes = waiting.pop()
        for node in nodes:
            if node.op == _PARSING:
                yield {n.name: n for n in nodes}, node
            for attribute in node.attr.values():
                name = attribute.func.name
                if name in bodies and name not in seen:
                    seen.add(name)
                    waiting.append(list(bodies[name]))


def _parsed_columns(nodes: Mapping[str, Any], node: Any) -> Iterator[Column]:
    import tensorflow

    def constant(position: int) -> Any:
        name = node.input[position].partition(":")[0]
        return tensorflow.make_ndarray(nodes[name].attr["value"].tensor)

    # serialized, names, sparse_keys, dense_keys, ragged_keys, then a default for each dense key
    sparse = zip(constant(2), node.attr["sparse_types"].list.type, strict=True)
    dense = zip(
        constant(3),
        node.attr["Tdense"].list.type,
        node.attr["dense_shapes"].list.shape,
        strict=True,
    )
    for key, kind in sparse:
        yield Column(key.decode(), _number_type(kind), (None,), optional=True)
    for index, (key, kind, shape) in enumerate(dense):
        sizes = tuple(dim.size if dim.size >= 0 else None for dim in shape.dim)
        has_default = constant(5 + index).size > 0
        shape_of_row = () if sizes in ((), (1,)) else sizes
        yield Column(key.decode(), _number_type(kind), shape_of_row, optional=has_default)


def _number_type(kind: int) -> str:
    import tensorflow

    return _type_of(tensorflow.dtypes.as_dtype(kind)) or "string"
