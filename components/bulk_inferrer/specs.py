"""What is predicted for, by which signature, and what becomes of the predictions; TFX's fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSpec:
    """The splits that are predicted for; by default all."""

    example_splits: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelSpec:
    """The signature by which a SavedModel is asked, one at the most; `tag` is TFX's."""

    model_signature_name: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()


@dataclass(frozen=True)
class PredictOutputCol:
    """An output of the model, and the column of the examples that it becomes."""

    output_key: str
    output_column: str


@dataclass(frozen=True)
class PredictOutput:
    """Outputs as columns."""

    output_columns: tuple[PredictOutputCol, ...] = ()


@dataclass(frozen=True)
class ClassifyOutput:
    """The columns of a classifier's labels, all of them, and of their scores; "" is none."""

    label_column: str = ""
    score_column: str = ""


@dataclass(frozen=True)
class RegressOutput:
    """The column of a regression's number."""

    value_column: str


@dataclass(frozen=True)
class OutputColumnsSpec:
    """One kind of outputs as columns."""

    signature_name: str = ""
    classify_output: ClassifyOutput | None = None
    regress_output: RegressOutput | None = None
    predict_output: PredictOutput | None = None


@dataclass(frozen=True)
class OutputExampleSpec:
    """The columns that examples get; with it they are written in the place of prediction logs."""

    output_columns_spec: tuple[OutputColumnsSpec, ...] = ()
