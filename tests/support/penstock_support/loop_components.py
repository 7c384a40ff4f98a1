"""Pipelines with loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from penstock import Cond, ForEach, Input, Output, _tfx, component, pipeline
from penstock.artifacts import Examples, Model, String


@component
def Train(rate: float, model: Output[Model], folder: str = ""):
    """Write a rate down; a file called after it in the folder lets it fail."""
    if folder and (Path(folder) / f"{rate}").exists():
        raise ValueError(f"{rate} is broken")
    Path(model.uri, "rate.txt").write_text(str(rate))


@component
def Measure(model: Input[Model]) -> float:
    """Read it again."""
    return float(Path(model.uri, "rate.txt").read_text())


@component
def Compare(models: Input[list[Model]]) -> list:
    """Read them all."""
    return [float(Path(model.uri, "rate.txt").read_text()) for model in models]


@component
def Named(options: dict, name: str = "") -> str:
    """Return what it is given."""
    return json.dumps([options, name])


@component
def Sized(size: Literal["small", "large"]) -> str:
    """Return a size."""
    return size


@pipeline(name="rates")
def of_rates(rates: list[float] = [0.1, 0.2, 0.3], folder: str = ""):  # noqa: B006  # a default that nobody changes
    """Train for each rate, and compare."""
    with ForEach(rates) as rate:
        trained = Train(rate=rate, folder=folder)
        measured = Measure(model=trained.outputs["model"])
    return [measured, Compare(models=trained.outputs["model"])]


@pipeline(name="constants")
def of_constants():
    """Two items with two parts."""
    with ForEach([{"name": "a", "size": 1}, {"name": "b", "size": 2}]) as item:
        named = Named(options={"size": item["size"], "all": item}, name=item["name"])
    return [named]


@component
def List(count: int) -> list:
    """Return a list."""
    return [{"rate": 0.5 * number} for number in range(count)]


@component
def Rows(name: str, examples: Output[Examples]):
    """Write a name down."""
    Path(examples.uri, "name.txt").write_text(name)


@component
def Read(examples: Input[Examples]) -> str:
    """Read it."""
    return Path(examples.uri, "name.txt").read_text()


@component
def Joined(texts: Input[list[String]]) -> str:
    """Read all."""
    return " ".join(text.read() for text in texts)


@pipeline(name="returned")
def of_what_is_returned(count: int = 2, folder: str = ""):
    """Train for each rate of a list that a node returns."""
    listed = List(count=count)
    with ForEach(listed.outputs["output"]) as item:
        trained = Train(rate=item["rate"], folder=folder)
    return [Compare(models=trained.outputs["model"])]


@pipeline(name="artifacts")
def of_artifacts(names: list[str] = ["a", "b"]):  # noqa: B006  # a default that nobody changes
    """A loop over what another one has made."""
    with ForEach(names) as name:
        rows = Rows(name=name)
    with ForEach(rows.outputs["examples"]) as examples:
        read = Read(examples=examples)
    return [Joined(texts=read.outputs["output"])]


@pipeline(name="alone")
def of_nothing_else(names: list[str] = ["a"]):  # noqa: B006  # as above
    """A loop, and nothing before or after it."""
    with ForEach(names) as name:
        rows = Rows(name=name)
    return [rows]


@pipeline(name="nested")
def of_a_loop_in_a_loop(names: list[str] = ["a", "b"]):  # noqa: B006  # as above
    """A loop over constants in one over a parameter, with a condition in it."""
    with ForEach(names) as name:
        rows = Rows(name=name)
        with ForEach([0.1, 0.2]) as rate:
            trained = Train(rate=rate)
            measured = Measure(model=trained.outputs["model"])
            with Cond(measured.outputs["output"] > 0.15):
                told = Told(rate=measured.outputs["output"], examples=rows.outputs["examples"])
    return [trained, Joined(texts=told.outputs["output"])]


@component
def Told(rate: float, examples: Input[Examples]) -> str:
    """Say both."""
    return f"{Path(examples.uri, 'name.txt').read_text()} {rate}"


@component
def Mapped() -> dict:
    """Return no list."""
    return {"rate": 1}


@pipeline(name="no-list")
def of_no_list():
    """A loop over what turns out to be none."""
    with ForEach(Mapped().outputs["output"]) as rate:
        trained = Train(rate=rate)
    return [trained]


@pipeline(name="condition")
def of_a_condition():
    """A condition for each item, and artifacts that come from outside of the loop."""
    rows = Rows(name="b")
    with ForEach((0.1, 0.2)) as rate:
        measured = Measure(model=Train(rate=rate).outputs["model"])
        with Cond(measured.outputs["output"] > 0.15):
            told = Told(rate=measured.outputs["output"], examples=rows.outputs["examples"])
    return [Joined(texts=told.outputs["output"])]


@pipeline(name="artifacts")
def of_the_latest_two():
    """A loop over what a resolver has found."""
    latest = _tfx.Resolver(
        strategy_class=_tfx.LatestArtifactStrategy,
        config={"desired_num_of_artifacts": 2},
        examples=_tfx.types.Channel(type=Examples),
    ).with_id("latest")
    with ForEach(latest.outputs["examples"]) as examples:
        read = Read(examples=examples)
    return [Joined(texts=read.outputs["output"])]


@pipeline(name="lists")
def of_lists_in_items():
    """A loop over what is in the items of another."""
    with ForEach([{"names": ["a", "b"]}, {"names": ["c"]}]) as item, ForEach(item["names"]) as name:
        rows = Rows(name=name)
    with ForEach(rows.outputs["examples"]) as examples:
        read = Read(examples=examples)
    return [Joined(texts=read.outputs["output"])]


@pipeline(name="between")
def of_a_loop_between_loops(counts: list[int] = [1, 2]):  # noqa: B006  # as above
    """A loop over what a node of the loop around it returns, and artifacts from outside of both."""
    rows = Rows(name="b")
    with ForEach(counts) as count:
        listed = List(count=count)
        with ForEach(listed.outputs["output"]) as item:
            measured = Measure(model=Train(rate=item["rate"]).outputs["model"])
            told = Told(rate=measured.outputs["output"], examples=rows.outputs["examples"])
    return [Joined(texts=told.outputs["output"])]


@pipeline(name="two-parameters")
def of_two_parameters(
    names: list[str] = ["a", "b"],  # noqa: B006  # as above
    rates: list[float] = [0.5, 0.25],  # noqa: B006  # as above
):
    """A loop over a parameter in a loop over another; one node takes all of an outer item."""
    with ForEach(names) as name:
        rows = Rows(name=name)
        with ForEach(rates) as rate:
            trained = Train(rate=rate)
        compared = Compare(models=trained.outputs["model"])
        told = About(rates=compared.outputs["output"], examples=rows.outputs["examples"])
    with ForEach(rows.outputs["examples"]) as examples:
        read = Read(examples=examples)
    everything = Compare(models=trained.outputs["model"]).with_id("Everything")
    return [Joined(texts=told.outputs["output"]), everything, read]


@component
def About(rates: list, examples: Input[Examples]) -> str:
    """Say all."""
    return f"{Path(examples.uri, 'name.txt').read_text()}: {rates}"


def Writes(**arguments):
    """Return a node that is a container, and writes what it is told."""
    from tfx.dsl.component.experimental.container_component import create_container_component
    from tfx.dsl.component.experimental.placeholders import (
        ConcatPlaceholder,
        InputValuePlaceholder,
        OutputUriPlaceholder,
    )

    write = 'mkdir -p "$0" && printf "%s" "$1 $2" > "$0/name.txt"'
    told = [InputValuePlaceholder("name"), ConcatPlaceholder(["x", InputValuePlaceholder("size")])]
    make = create_container_component(
        name="Writes",
        image="registry.example/writes",
        command=["sh", "-c", write, OutputUriPlaceholder("examples"), *told],
        outputs={"examples": Examples},
        parameters={"name": str, "size": float},
    )
    return make(**arguments)


@pipeline(name="containers")
def of_containers(counts: list[int] = [1, 2]):  # noqa: B006  # as above
    """A container that takes parts of a constant in a loop over a parameter."""
    with ForEach([{"name": "a", "size": 1.5}, {"name": "b", "size": 1e-7}]) as item:
        written = Writes(name=item["name"], size=item["size"])
        read = Read(examples=written.outputs["examples"])
    with ForEach(counts) as count, ForEach(["c", "d"]) as name:
        again = Writes(name=name, size=0.5).with_id("Again")
        counted = Counted(count=count, examples=again.outputs["examples"])
    return [
        Joined(texts=read.outputs["output"]),
        Joined(texts=counted.outputs["output"]).with_id("Counts"),
    ]


@component
def Counted(count: int, examples: Input[Examples]) -> str:
    """Say both."""
    return f"{count} {Path(examples.uri, 'name.txt').read_text()}"


@pipeline(name="sizes")
def of_containers_of_a_list(sizes: list[float] = [1.5, 0.25]):  # noqa: B006  # as above
    """A container that takes what a run alone knows."""
    with ForEach(sizes) as size:
        read = Read(examples=Writes(name="a", size=size).outputs["examples"])
    return [Joined(texts=read.outputs["output"])]


@pipeline(name="parts")
def of_parts_of_no_type(items: list = [{"name": "a", "size": 1}]):  # noqa: B006  # as above
    """A container that takes parts of which nothing is known."""
    with ForEach(items) as item:
        written = Writes(name=item["name"], size=item["size"])
    return [written]
