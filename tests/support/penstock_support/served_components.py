"""A pipeline that registers a model with its data, and one that asks what made what served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock import Input, Output, component, pipeline
from penstock.artifacts import Examples, Model, Schema
from penstock.components import ModelRegistrar, PreviousWindow, ServedModel
from penstock.monitoring.windows import ANSWERED_BY, LOG, WINDOW, window_of_spans


@component
def MakeRows(examples: Output[Examples], schema: Output[Schema], seed: int = 0) -> None:
    """Make rows that come from outside, and their schema."""
    Path(examples.uri, "rows.txt").write_text(str(seed))
    Path(schema.uri, "schema.txt").write_text(str(seed))


@component
def TrainOnRows(examples: Input[Examples], schema: Input[Schema], model: Output[Model]) -> None:
    """Write a model that is what its data are."""
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    seeds = [Path(examples.uri, "rows.txt").read_text(), Path(schema.uri, "schema.txt").read_text()]
    (folder / "model.txt").write_text(" ".join(seeds))


@pipeline(name="training")
def training(seed: int = 0) -> list[Any]:
    """Register a model."""
    rows = MakeRows(seed=seed)
    trainer = TrainOnRows(examples=rows.outputs["examples"], schema=rows.outputs["schema"])
    return [ModelRegistrar(model=trainer.outputs["model"], name="people")]


@component
def MakeWindow(
    examples: Output[Examples], versions: dict[str, int], first: int, last: int, log: str = "log"
) -> None:
    """Make the examples of a window of a log."""
    window = window_of_spans(first, last, "day")
    Path(examples.uri, "window.txt").write_text(str(first))
    examples.set_string_custom_property(WINDOW, json.dumps(window.to_json()))
    examples.set_string_custom_property(ANSWERED_BY, json.dumps(versions))
    examples.set_string_custom_property(LOG, log)


@component
def TellWhatServed(
    model: Input[Model] | None = None,
    examples: Input[Examples] | None = None,
    schema: Input[Schema] | None = None,
    previous: Input[Examples] | None = None,
) -> str:
    """Return what was found, as text."""
    return " ".join(
        [
            Path(model.uri, "Format-Serving", "model.txt").read_text() if model else "-",
            Path(examples.uri, "rows.txt").read_text() if examples else "-",
            Path(schema.uri, "schema.txt").read_text() if schema else "-",
            Path(previous.uri, "window.txt").read_text() if previous else "-",
        ]
    )


def watching(versions: dict[str, int], first: int = 5, last: int = 5, **options: Any) -> Any:
    """Return a pipeline that tells what served in a window."""

    @pipeline(name="watching")
    def watch() -> list[Any]:
        """Tell what served."""
        log = options.get("log", "log")
        window = MakeWindow(versions=versions, first=first, last=last, log=log)
        examples = window.outputs["examples"]
        asked = {"version": options["version"]} if "version" in options else {"served": examples}
        served = ServedModel("people", **asked)
        previous = PreviousWindow(examples).with_id("previous")
        return [
            TellWhatServed(
                model=served.outputs["model"],
                examples=served.outputs["examples"],
                schema=served.outputs["schema"],
                previous=previous.outputs["examples"],
            ).with_id("told"),
            window,
        ]

    return watch
