"""Pipelines of TFX's components, run by TFX's executors and by ours: PIPELINE FOLDER.

Both runs are of one process, since TFX takes long to import; each has a root and a store of its
own, `tfx` and `ours` below the folder. What is printed last is how each node was planned and how it
ended, and the report of ours.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.components.experimental.data_view import binder_component, provider_component

TFX_FOLDER = Path(tfx.__file__).parents[1]
TESTDATA = TFX_FOLDER / "components" / "testdata"
TAXI_CSV = str(TESTDATA / "external" / "csv")

proto = tfx.proto


def _csv_folder(folder: Path, name: str, files: dict[str, str]) -> str:
    for file, text in files.items():
        path = folder / "data" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder / "data" / name)


def _rows(count: int, first: int = 0) -> str:
    """Return CSV with numbers, fractions, texts, quoted lines, umlauts and cells without values."""
    lines = ["number,fraction,text,gap,empty"]
    for n in range(first, first + count):
        text = ['"two\nlines"', "ärger", '"a ""quote"""', "plain", ""][n % 5]
        lines.append(f"{n},{n / 7},{text},{n if n % 3 else ''},")
    return "\n".join(lines) + "\n"


def _splits(*named: tuple[str, str]) -> Any:
    splits = [proto.Input.Split(name=name, pattern=pattern) for name, pattern in named]
    return proto.Input(splits=splits)


def csv(folder: Path) -> Iterator[Any]:
    """Yield CsvExampleGens over all sorts of inputs."""
    gen = tfx.components.CsvExampleGen
    yield gen(input_base=TAXI_CSV).with_id("Taxi")
    multi_line = str(TESTDATA / "external" / "csv_multi_line_string")
    yield gen(input_base=multi_line).with_id("MultiLine")
    plain = _csv_folder(folder, "plain", {"a.csv": _rows(100), "b.csv": _rows(50, 100)})
    buckets = proto.SplitConfig.Split
    by_number = proto.SplitConfig(
        splits=[
            buckets(name="train", hash_buckets=5),
            buckets(name="eval", hash_buckets=3),
            buckets(name="test", hash_buckets=2),
        ],
        partition_feature_name="number",
    )
    yield gen(input_base=plain, output_config=proto.Output(split_config=by_number)).with_id("ByKey")
    yield gen(input_base=plain, output_config=proto.Output()).with_id("NoSplits")
    # A column of numbers in one split, and of texts in the other.
    split = _csv_folder(
        folder, "split", {"train/a.csv": "x,y\n1,2\n3,4\n", "eval/a.csv": "x,y\n1,a\n3.5,b\n"}
    )
    named = _splits(("train", "train/*"), ("eval", "eval/*"))
    yield gen(input_base=split, input_config=named).with_id("InputSplits")
    spans = {f"span{s:03}/v{v}/data.csv": _rows(20, s + v) for s in (1, 2) for v in (1, 2)}
    spanned = _csv_folder(folder, "spans", spans)
    pattern = _splits(("single", "span{SPAN:3}/v{VERSION}/*"))
    yield gen(input_base=spanned, input_config=pattern).with_id("Spans")
    static = proto.RangeConfig(
        static_range=proto.StaticRange(start_span_number=1, end_span_number=1)
    )
    yield gen(input_base=spanned, input_config=pattern, range_config=static).with_id("StaticRange")
    dates = _csv_folder(folder, "dates", {"2024-02-29.csv": _rows(9), "2024-03-01.csv": _rows(9)})
    dated = _splits(("single", "{YYYY}-{MM}-{DD}.csv"))
    yield gen(input_base=dates, input_config=dated).with_id("Dates")
    hidden = _csv_folder(folder, "hidden", {"a.csv": _rows(9), ".b.csv": _rows(9, 9)})
    yield gen(input_base=hidden).with_id("HiddenFile")
    ragged = _csv_folder(folder, "ragged", {"a.csv": "x,y\n1,2\n3\n"})
    yield gen(input_base=ragged).with_id("Ragged")
    yield gen(input_base=TAXI_CSV).with_id("TurnedOff")


def statistics(folder: Path) -> Iterator[Any]:
    """Yield StatisticsGens with all sorts of options."""
    import tensorflow_data_validation as tfdv

    plain = _csv_folder(folder, "plain", {"a.csv": _rows(300)})
    for name, base in (("Taxi", TAXI_CSV), ("Plain", plain)):
        examples = tfx.components.CsvExampleGen(input_base=base).with_id(f"{name}Examples")
        yield examples
        data = examples.outputs["examples"]
        gen = tfx.components.StatisticsGen
        yield gen(examples=data).with_id(f"{name}Statistics")
        yield gen(examples=data, exclude_splits=["eval"]).with_id(f"{name}TrainOnly")
        options = tfdv.StatsOptions(num_top_values=3, num_histogram_buckets=4)
        yield gen(examples=data, stats_options=options).with_id(f"{name}Options")
    sampled = tfdv.StatsOptions(sample_rate=0.5)
    yield gen(examples=data, stats_options=sampled).with_id("Sampled")


def validation(folder: Path) -> Iterator[Any]:
    """Yield SchemaGens and ExampleValidators, with and without anomalies."""
    # A column that is empty in one split, one of several values, and one with fewer in the other.
    files = {
        "train/a.csv": "a,b,c\n"
        + "".join(f"{n},{n % 3},{'x' if n % 2 else ''}\n" for n in range(50)),
        "eval/a.csv": "a,b,c\n" + "".join(f"{n},,{'xyz'[n % 3]}\n" for n in range(20)),
    }
    named = _splits(("train", "train/*"), ("eval", "eval/*"))
    odd = _csv_folder(folder, "odd", files)
    gens = {
        "Taxi": tfx.components.CsvExampleGen(input_base=TAXI_CSV),
        "Odd": tfx.components.CsvExampleGen(input_base=odd, input_config=named),
    }
    for name, gen in gens.items():
        gen.with_id(f"{name}Examples")
        stats = tfx.components.StatisticsGen(examples=gen.outputs["examples"])
        stats.with_id(f"{name}Statistics")
        data = stats.outputs["statistics"]
        schemas = {
            "Schema": tfx.components.SchemaGen(statistics=data),
            "SchemaWithoutShape": tfx.components.SchemaGen(
                statistics=data, infer_feature_shape=False
            ),
            "SchemaOfTrain": tfx.components.SchemaGen(statistics=data, exclude_splits=["eval"]),
        }
        yield from (gen, stats)
        for kind, schema in schemas.items():
            yield schema.with_id(f"{name}{kind}")
        for kind, exclude in (("Schema", None), ("SchemaOfTrain", ["train"])):
            yield tfx.components.ExampleValidator(
                statistics=data, schema=schemas[kind].outputs["schema"], exclude_splits=exclude
            ).with_id(f"{name}Validator{len(exclude or ())}")
    wrong = folder / "data" / "wrong.pbtxt"
    wrong.write_text('feature { name: "a" type: BYTES } feature { name: "gone" type: INT }')
    imported = tfx.components.ImportSchemaGen(schema_file=str(wrong))
    yield imported
    yield tfx.components.ExampleValidator(
        statistics=data, schema=imported.outputs["schema"]
    ).with_id("Anomalies")


def transformed(folder: Path) -> Iterator[Any]:
    """Yield Transforms with TFX's own taxi code."""
    examples = tfx.components.CsvExampleGen(input_base=TAXI_CSV)
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"])
    yield from (examples, statistics, schema)
    of_template = "tfx.experimental.templates.taxi.models.preprocessing.preprocessing_fn"
    taken = {"examples": examples.outputs["examples"], "schema": schema.outputs["schema"]}
    first = tfx.components.Transform(**taken, preprocessing_fn=of_template).with_id("Whole")
    yield first
    yield tfx.components.Transform(
        **taken,
        preprocessing_fn=of_template,
        analyzer_cache=first.outputs["updated_analyzer_cache"],
    ).with_id("FromCache")
    both = proto.SplitsConfig(analyze=["train", "eval"], transform=["eval"])
    yield tfx.components.Transform(
        **taken,
        module_file=str(TESTDATA / "module_file" / "trainer_module.py"),
        splits_config=both,
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={"VOCAB_SIZE": 10, "OOV_SIZE": 3},
    ).with_id("Bare")
    yield tfx.components.Transform(
        **taken, preprocessing_fn=of_template, materialize=False
    ).with_id("GraphOnly")


def _model(folder: Path, name: str, weight: float) -> str:
    """Write a SavedModel that asks of serialized examples how likely it is that x is great."""
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: Any) -> Any:
            parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})
            return {"probability": tf.sigmoid(weight * (parsed["x"] - 5.0))}

    uri = folder / "models" / name
    model = Model()
    tf.saved_model.save(
        model, str(uri / "Format-Serving"), signatures={"serving_default": model.serve}
    )
    return str(uri)


def _evaluation(*thresholds: dict[str, Any]) -> Any:
    import tensorflow_model_analysis as tfma
    from google.protobuf import json_format

    metrics = [
        {"class_name": "ExampleCount"},
        {"class_name": "AUC"},
        {"class_name": "BinaryAccuracy", **({"threshold": thresholds[0]} if thresholds else {})},
    ]
    config = {
        "model_specs": [{"signature_name": "serving_default", "label_key": "label"}],
        "slicing_specs": [{}, {"feature_keys": ["kind"]}],
        "metrics_specs": [{"metrics": metrics}],
    }
    return json_format.ParseDict(config, tfma.EvalConfig())


def models(folder: Path) -> Iterator[Any]:
    """Yield Evaluators, Pushers and BulkInferrers of two models that are there already."""
    rows = "".join(f"{n % 10}.5,{int(n % 10 + n % 3 > 5)},{'abc'[n % 3]}\n" for n in range(400))
    base = _csv_folder(folder, "labeled", {"a.csv": f"x,label,kind\n{rows}"})
    gen = tfx.components.CsvExampleGen(input_base=base)
    examples = gen.outputs["examples"]
    yield gen
    importers = {
        name: tfx.dsl.Importer(
            source_uri=_model(folder, name, weight),
            artifact_type=tfx.types.standard_artifacts.Model,
        ).with_id(f"{name}_model")
        for name, weight in (("good", 1.0), ("bad", -1.0))
    }
    yield from importers.values()
    good, bad = (importer.outputs["result"] for importer in importers.values())
    above = {"value_threshold": {"lower_bound": 0.6}}
    change = {"change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": 0.0}}
    evaluator = tfx.components.Evaluator
    evaluators = {
        "Blessed": evaluator(examples=examples, model=good, eval_config=_evaluation(above)),
        "NotBlessed": evaluator(examples=examples, model=bad, eval_config=_evaluation(above)),
        "NoThreshold": evaluator(
            examples=examples,
            model=good,
            eval_config=_evaluation(),
            example_splits=["train", "eval"],
        ),
        "ChangeWithoutBaseline": evaluator(
            examples=examples, model=good, eval_config=_evaluation(change)
        ),
        "Fairness": evaluator(
            examples=examples,
            model=good,
            eval_config=_evaluation(above),
            fairness_indicator_thresholds=[0.5],
        ),
        "BetterThanBaseline": evaluator(
            examples=examples, model=good, baseline_model=bad, eval_config=_evaluation(change)
        ),
        "WorseThanBaseline": evaluator(
            examples=examples, model=bad, baseline_model=good, eval_config=_evaluation(change)
        ),
    }
    for name, node in evaluators.items():
        yield node.with_id(name)
    for name in ("Blessed", "NotBlessed"):
        destination = proto.PushDestination(
            filesystem=proto.PushDestination.Filesystem(base_directory=str(folder / f"push{name}"))
        )
        yield tfx.components.Pusher(
            model=good,
            model_blessing=evaluators[name].outputs["blessing"],
            push_destination=destination,
        ).with_id(f"Push{name}")
    inferrer = tfx.components.BulkInferrer
    yield inferrer(examples=examples, model=good).with_id("Logs")
    yield inferrer(
        examples=examples,
        model=good,
        model_blessing=evaluators["NotBlessed"].outputs["blessing"],
    ).with_id("LogsOfNone")
    column = proto.PredictOutputCol(output_key="probability", output_column="said")
    columns = proto.OutputColumnsSpec(predict_output=proto.PredictOutput(output_columns=[column]))
    yield inferrer(
        examples=examples,
        model=good,
        data_spec=proto.DataSpec(example_splits=["eval"]),
        output_example_spec=proto.OutputExampleSpec(output_columns_spec=[columns]),
    ).with_id("Columns")


def imported(folder: Path) -> Iterator[Any]:
    """Yield ImportExampleGens of TFX's own TFRecords."""
    gen = tfx.components.ImportExampleGen
    records = str(TESTDATA / "csv_example_gen")
    named = _splits(("train", "Split-train/*"), ("eval", "Split-eval/*"))
    yield gen(input_base=records, input_config=named).with_id("InputSplits")
    single = _splits(("all", "Split-train/*"))
    yield gen(input_base=records, input_config=single).with_id("Parted")
    payload = tfx.proto.PayloadFormat.FORMAT_PROTO
    protos = gen(input_base=records, input_config=single, payload_format=payload).with_id("Bytes")
    yield protos
    buckets = proto.SplitConfig.Split
    by_company = proto.SplitConfig(
        splits=[buckets(name="a", hash_buckets=1), buckets(name="b", hash_buckets=1)],
        partition_feature_name="trip_start_timestamp",
    )
    yield gen(
        input_base=records,
        input_config=single,
        output_config=proto.Output(split_config=by_company),
    ).with_id("ByKey")
    decoder = str(TESTDATA / "module_file" / "data_view_module.py")
    view = provider_component.TfGraphDataViewProvider("create_simple_decoder", decoder)
    yield view
    bound = binder_component.DataViewBinder(protos.outputs["examples"], view.outputs["data_view"])
    yield bound
    yield tfx.components.StatisticsGen(bound.outputs["output_examples"])


def main(name: str, folder: str) -> None:
    from penstock import LocalRunner, with_options

    # Whose order is TFX's.
    components = list(globals()[name](Path(folder)))
    for component in components:
        if component.id == "TurnedOff":
            with_options(component, accelerate=False)
    told: dict[str, Any] = {}
    for who, accelerate in (("tfx", False), ("ours", True)):
        pipeline = tfx.dsl.Pipeline(
            pipeline_name=name,
            pipeline_root=os.path.join(folder, who),
            metadata_connection_config=_store(os.path.join(folder, f"{who}.sqlite")),
            components=components,
        )
        runner = LocalRunner(accelerate=accelerate)
        planned = {node.node_id: node.done_by for node in runner.plan(pipeline)}
        result = runner.run(pipeline, raise_on_failure=False)
        told[who] = {
            name: {
                "state": node.state.value,
                "error": node.error,
                "planned": planned[name],
                "log": Path(node.log_path).read_text() if node.log_path else "",
            }
            for name, node in result.nodes.items()
        }
        told["report"] = Path(result.report).read_text()
    print(json.dumps(told))


def _store(path: str) -> Any:
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
