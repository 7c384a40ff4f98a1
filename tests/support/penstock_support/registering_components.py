"""A pipeline that trains a model of few lines, judges it, and registers it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from penstock import Input, Output, component, pipeline
from penstock.artifacts import Model, ModelBlessing
from penstock.components import ModelRegistrar, RegisteredModel


@component
def TrainNumber(model: Output[Model], weight: int = 1) -> None:
    """Write a model that is one number."""
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "weight.txt").write_text(str(weight))


@component
def JudgeNumber(
    model: Input[Model], blessing: Output[ModelBlessing], baseline: Input[Model] | None = None
) -> str:
    """Bless a model whose number is greater than that of the baseline, which it returns."""
    known = _weight(baseline) if baseline is not None else 0
    blessing.set_int_custom_property("blessed", int(_weight(model) > known))
    os.makedirs(blessing.uri, exist_ok=True)
    return str(known)


def _weight(model: Any) -> int:
    return int(Path(model.uri, "Format-Serving", "weight.txt").read_text())


@pipeline(name="numbers")
def numbers(weight: int = 1) -> list[Any]:
    """Train a number, hold it against the champion, and register it if it is greater."""
    trainer = TrainNumber(weight=weight)
    champion = RegisteredModel("numbers").with_id("champion")
    judge = JudgeNumber(model=trainer.outputs["model"], baseline=champion.outputs["model"])
    return [
        ModelRegistrar(
            model=trainer.outputs["model"],
            model_blessing=judge.outputs["blessing"],
            name="numbers",
            alias="challenger",
        )
    ]
