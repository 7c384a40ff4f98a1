"""Pipelines of TFX's components, run by TFX's executors and by ours: PIPELINE FOLDER.

Both runs are of one process, since TFX takes long to import; each has a root and a store of its
own, `tfx` and `ours` below the folder. What is printed last is how each node ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx import v1 as tfx

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
        result = LocalRunner(accelerate=accelerate).run(pipeline, raise_on_failure=False)
        told[who] = {name: [node.state.value, node.error] for name, node in result.nodes.items()}
    print(json.dumps(told))


def _store(path: str) -> Any:
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
