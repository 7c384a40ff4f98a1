"""Outputs of preprocessing_fn of every kind, as both engines write them and as they are read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.authoring.beam import BeamOptions
from penstock.components.transform.job import Job
from penstock.data.records import read_serialized, write_serialized

DTYPES = ("string", "int64", "float32")
# A shape below the batch, or how a tensor of varying length is made of the text.
KINDS: tuple[Any, ...] = (
    (),
    (1,),
    (3,),
    (2, 3),
    (2, 1, 2),
    (0,),
    "sparse",
    "sparse of rank 3",
    "ragged",
    "ragged twice",
    "ragged, then uniform",
    "ragged without values",
)
TEXT = st.text(st.sampled_from("ab |"), max_size=8)


def preprocessing_fn(outputs: dict[str, tuple[Any, str]]) -> Any:
    """Return a preprocessing_fn whose outputs, by name, are of these kinds and types."""
    import tensorflow as tf

    def as_type(dtype: str) -> Any:
        if dtype == "string":
            return lambda words: tf.strings.join([words, "!"])
        return lambda words: tf.cast(tf.strings.length(words), dtype)

    def output(text: Any, kind: Any, convert: Any) -> Any:
        if isinstance(kind, tuple):
            values = convert(text)
            for size in reversed(kind):
                values = tf.stack([values] * size, 1) if size else values[:, None][:, :0]
            return values
        words = tf.strings.split(text)
        if kind == "ragged twice":
            parts = tf.strings.split(text, "|")
            inner = tf.strings.split(parts.flat_values)
            words = parts.with_flat_values(inner)
        if kind == "ragged without values":
            words = tf.ragged.boolean_mask(words, tf.equal(words, "never"))
        converted = words.with_flat_values(convert(words.flat_values))
        if kind == "ragged, then uniform":
            return converted.with_flat_values(tf.stack([converted.flat_values] * 2, 1))
        if kind == "sparse":
            return converted.to_sparse()
        if kind == "sparse of rank 3":
            sparse = converted.to_sparse()
            return tf.sparse.concat(2, [tf.sparse.expand_dims(sparse, 2)] * 2)
        return converted

    def function(inputs: dict[str, Any]) -> dict[str, Any]:
        text = inputs["text"]
        return {name: output(text, kind, as_type(dtype)) for name, (kind, dtype) in outputs.items()}

    return function


def plain(tensor: Any) -> Any:
    """Return a tensor's values as lists; of a sparse one, those that are there."""
    import tensorflow as tf

    if isinstance(tensor, tf.SparseTensor):
        return tensor.indices.numpy().tolist(), tensor.values.numpy().tolist()
    return tensor.to_list() if isinstance(tensor, tf.RaggedTensor) else tensor.numpy().tolist()


def written(engine: Any, function: Any, texts: list[str], directory: str) -> dict[str, Any]:
    """Return the tensors that the graph's own feature spec finds in what an engine writes."""
    import tensorflow as tf
    import tensorflow_transform as tft
    from tensorflow import train

    rows = [
        train.Example(
            features=train.Features(
                feature={
                    "text": train.Feature(bytes_list=train.BytesList(value=[text.encode()])),
                }
            )
        ).SerializeToString()
        for text in texts
    ]
    schema = tft.DatasetMetadata.from_feature_spec(
        {"text": tf.io.FixedLenFeature([], tf.string)}
    ).schema
    files = write_serialized(directory, "examples", rows)
    job = Job(
        preprocessing_fn=function,
        schema=schema,
        analyze_files={"train": files},
        pre_statistics_files={},
        transform_files={"train": files},
        graph_directory=f"{directory}/graph",
        examples_directory=f"{directory}/transformed",
    )
    beam = BeamOptions(("--runner=DirectRunner",))
    engine.transform(job, beam)
    paths = sorted(Path(f"{directory}/transformed/Split-train").iterdir())
    records = [record for path in paths for record in read_serialized(str(path))]
    spec = tft.TFTransformOutput(job.graph_directory).transformed_feature_spec()
    parsed = tf.io.parse_example(records, spec)
    return {name: plain(tensor) for name, tensor in parsed.items()}


def direct(function: Any, texts: list[str]) -> dict[str, Any]:
    import tensorflow as tf

    outputs = function({"text": tf.constant(texts)})
    return {name: plain(tensor) for name, tensor in outputs.items()}


EVERYTHING = {
    f"{index:02}_{dtype}": (kind, dtype) for index, kind in enumerate(KINDS) for dtype in DTYPES
}
ONE_RAGGED = {"words": ("ragged", "string")}


@settings(max_examples=12, deadline=None)
@given(
    outputs=st.dictionaries(
        st.sampled_from(["a", "b c", "words", "ü"]),
        st.tuples(st.sampled_from(KINDS), st.sampled_from(DTYPES)),
        min_size=1,
    ),
    texts=st.lists(TEXT, min_size=1, max_size=5),
)
@example(outputs=ONE_RAGGED, texts=["a b", "", "b"])
@example(outputs=EVERYTHING, texts=["a b|a", "", " |b  a|", "b"])
def test_what_is_written_is_what_preprocessing_fn_returned(outputs, texts):
    from penstock.components.transform import in_process

    function = preprocessing_fn(outputs)
    with tempfile.TemporaryDirectory() as directory:
        assert written(in_process, function, texts, directory) == direct(function, texts)


@pytest.mark.parametrize("outputs", [ONE_RAGGED, EVERYTHING], ids=["one ragged", "everything"])
def test_both_engines_write_the_same_features(outputs, tmp_path):
    from penstock.components.transform import in_process, on_beam

    function = preprocessing_fn(outputs)
    texts = ["a b|a", "", " |b  a|", "b", "a"]
    ours = written(in_process, function, texts, str(tmp_path / "in_process"))
    assert ours == written(on_beam, function, texts, str(tmp_path / "on_beam"))


def returns(value: Any) -> Any:
    def preprocessing_fn(inputs: dict[str, Any]) -> Any:
        return value(inputs["number"])

    return preprocessing_fn


def mean(number: Any) -> dict[str, Any]:
    import tensorflow_transform as tft

    return {"mean": tft.mean(number)}


def quantiles(number: Any) -> dict[str, Any]:
    import tensorflow_transform as tft

    return {"q": tft.quantiles(number, 3, 0.1)}


def in_pieces(number: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {"pieces": tf.reshape(number, [-1, tf.size(number)])}


def of_unknown_shape(number: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {"unknown": tf.py_function(lambda value: value, [number], tf.float32)}


def as_32_bits(number: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {"small": tf.cast(number, tf.int32)}


REFUSED = {
    "no feature": (lambda _: {}, "returned no feature at all"),
    "nothing": (lambda _: None, "returned None where a dict of features is expected"),
    "a list": (lambda number: [number], "returned a list where a dict of features is expected"),
    "a tensor": (lambda number: number, "returned a tensor where a dict of features is expected"),
    "no value": (lambda _: {"age": None}, "returned None as the feature 'age'"),
    "a constant": (lambda _: {"age": 1.5}, "returned a float as the feature 'age'"),
    "a dict in it": (lambda number: {"a": {"b": number}}, "returned a dict as the feature 'a'"),
    "a number's name": (lambda number: {1: number}, "a feature with the name 1 (int)"),
    "a mean": (
        mean,
        "of shape [], which has no row for each row of the data as the feature 'mean'",
    ),
    "quantiles": (quantiles, "of shape [1, 2], which has no row for each row of the data"),
    "32 bits": (as_32_bits, "a tensor of int32 as the feature 'small'"),
}


@pytest.mark.parametrize(("value", "said"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_feature_is_refused_by_its_name(value, said):
    import tensorflow as tf
    from tensorflow_transform import DatasetMetadata

    from penstock.errors import UserCodeError

    spec = {"number": tf.io.FixedLenFeature([], tf.float32)}
    schema = DatasetMetadata.from_feature_spec(spec).schema
    job = Job(returns(value), schema, {}, {}, {}, graph_directory="")
    with pytest.raises(UserCodeError) as raised:
        _ = job.columns
    assert said in raised.value.message
    assert raised.value.message.startswith("preprocessing_fn returned")
    assert (raised.value.path or "").startswith(__file__)


def logarithms(inputs: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    lengths = tf.strings.length(inputs["text"])
    return {"logarithm": tf.math.log(tf.cast(lengths, tf.float32)), "length": as_int64(lengths)}


def as_int64(value: Any) -> Any:
    import tensorflow as tf

    return tf.cast(value, tf.int64)


def test_features_that_become_no_numbers_are_named(tmp_path, capsys):
    from penstock.components.transform import in_process

    written(in_process, logarithms, ["a", "", "b"], str(tmp_path))
    assert (
        "After the transformation, feature 'logarithm' is NaN or infinite in 1 of 3 rows, the "
        "first of them row 1 of split 'train'."
    ) in capsys.readouterr().out


def test_a_row_without_a_required_feature_is_named(tmp_path):
    import tensorflow as tf
    from tensorflow_transform import DatasetMetadata

    from penstock.components.transform import in_process, on_beam

    spec = {"number": tf.io.FixedLenFeature([], tf.float32)}
    files = write_serialized(str(tmp_path / "Split-eval"), "examples", [b""])
    for engine in (in_process, on_beam):
        job = Job(
            lambda inputs: inputs,
            DatasetMetadata.from_feature_spec(spec).schema,
            {},
            {},
            {"eval": files},
            graph_directory=str(tmp_path / engine.__name__),
            examples_directory=str(tmp_path / f"{engine.__name__}-transformed"),
        )
        with pytest.raises(
            Exception, match="feature 'number' has no value in row 0 of split 'eval'"
        ):
            engine.transform(job, BeamOptions())


OPEN = {
    "a size": (in_pieces, "returned a tensor of shape [rows, ?] as the feature 'pieces'"),
    "a shape": (of_unknown_shape, "returned a tensor of unknown shape as the feature 'unknown'"),
}


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize(("value", "said"), OPEN.values(), ids=list(OPEN))
def test_what_is_still_open_when_the_data_are_analyzed_is_refused(tmp_path, value, said, analyzed):
    import tensorflow_transform as tft

    from penstock.components.transform import in_process
    from penstock.errors import UserCodeError

    def outputs(number: Any) -> dict[str, Any]:
        return value(number) | ({"z": tft.scale_to_z_score(number)} if analyzed else {})

    with pytest.raises(UserCodeError) as raised:
        written(in_process, of_numbers(outputs), ["1", "22"], str(tmp_path))
    assert said in raised.value.message


def test_a_size_that_the_data_give_may_be_open_before(tmp_path):
    import tensorflow as tf
    import tensorflow_transform as tft

    from penstock.components.transform import in_process

    def outputs(number: Any) -> dict[str, Any]:
        counts, _ = tft.histogram(number, boundaries=3)
        flat = tf.reshape(counts, [1, -1])
        return {"counts": tf.repeat(flat, tf.shape(number)[0], axis=0)}

    found = written(in_process, of_numbers(outputs), ["1", "22", "333"], str(tmp_path))
    assert [sum(row) for row in found["counts"]] == [3, 3, 3]


def of_numbers(outputs: Any) -> Any:
    """Return a preprocessing_fn of the texts' lengths."""

    def preprocessing_fn(inputs: dict[str, Any]) -> Any:
        import tensorflow as tf

        return outputs(tf.cast(tf.strings.length(inputs["text"]), tf.float32))

    return preprocessing_fn
