"""Tuner: search for the hyperparameters of the user's model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from penstock import Input, NodeContext, Output, component
from penstock.artifacts import (
    Examples,
    HyperParameters,
    Model,
    Schema,
    TransformGraph,
    TunerResults,
)
from penstock.authoring.component import NodeOutline
from penstock.components.trainer.component import EvalArgs, TrainArgs


@dataclass(frozen=True)
class TuneArgs:
    """How many trials run at the same time; 0 and 1 are one after another, as in TFX's TuneArgs."""

    num_parallel_trials: int = 0


def _preload(node: NodeOutline) -> tuple[str, ...]:
    if node.parameters.get("train_fn"):
        from penstock.components.trainer.frameworks import imported_frameworks

        return imported_frameworks(node.parameters, "train_fn")
    return ("tensorflow_transform", "tfx.components.trainer.fn_args_utils", "keras_tuner")


@component(preload=_preload)
def Tuner(
    examples: Input[list[Examples]],
    best_hyperparameters: Output[HyperParameters],
    tuner_results: Output[TunerResults],
    schema: Input[Schema] | None = None,
    transform_graph: Input[TransformGraph] | None = None,
    base_model: Input[Model] | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    tuner_fn: str | None = None,
    train_fn: str | None = None,
    search: dict[str, Any] | None = None,
    trials: int = 10,
    objective: str | None = None,
    direction: Literal["max", "min"] = "max",
    seed: int | None = None,
    train_args: TrainArgs = TrainArgs(),
    eval_args: EvalArgs = EvalArgs(),
    tune_args: TuneArgs = TuneArgs(),
    custom_config: dict[str, Any] | None = None,
    context: NodeContext = NodeContext(),
) -> None:
    """Search for good hyperparameters, of a `train_fn` or with the KerasTuner of a `tuner_fn`.

    `train_fn` is a Trainer's, of any framework. `search` has, by the name of a hyperparameter, a
    list of its values or a range as `{"low": 0.001, "high": 0.1, "log": True}`, with a `step` if
    not all of it counts. All values are tried where there are no more than `trials`, else some that
    `seed` decides; the best is that with the highest `objective`, one of the metrics that
    `train_fn` returns, or the lowest (`direction="min"`). A trial that fails is left out.

    `tuner_fn(fn_args)` gets TFX's `FnArgs` and returns a `TunerFnResult`, so that code written for
    TFX runs as it is; the tuner should keep its trials in `fn_args.working_dir`. With several
    trials at the same time each process calls `tuner_fn`, and runs trials that one more process
    hands out, as KerasTuner has it: its seeds decide what is tried, but not by whom.

    Either function comes from `module_file`, the path of a Python file, from `module_path`, the
    name of a module, or is itself the dotted name of a function. The best values go to
    `best_hyperparameters.txt`, which a Trainer takes as `hyperparameters`, and all trials to
    `tuner_results.json`, as TFX writes them.

    Raises:
      ParameterError: the search is not written as above.
      UserCodeError: the code does not load, fails, or finds nothing.
      DataError: a split is missing.
    """
    if train_fn:
        from penstock.components.tuner import search as searching

        found = searching.search(
            examples=examples,
            train_fn=train_fn,
            space=search or {},
            trials=trials,
            parallel_trials=tune_args.num_parallel_trials,
            objective=objective,
            direction=direction,
            seed=seed or 0,
            train_splits=train_args.splits,
            eval_splits=eval_args.splits,
            working_directory=context.temporary_directory,
            schema_uri=schema and schema.uri,
            module_file=module_file,
            module_path=module_path,
            parameters=custom_config,
        )
        found.write(best_hyperparameters.uri, tuner_results.uri)
        return
    from penstock.components.tuner import executor

    executor.tune(
        examples=examples,
        best_hyperparameters_uri=best_hyperparameters.uri,
        tuner_results_uri=tuner_results.uri,
        schema_uri=schema and schema.uri,
        transform_graph_uri=transform_graph and transform_graph.uri,
        base_model_uri=base_model and base_model.uri,
        module_file=module_file,
        module_path=module_path,
        tuner_fn=tuner_fn,
        train_splits=train_args.splits,
        train_steps=train_args.num_steps,
        eval_splits=eval_args.splits,
        eval_steps=eval_args.num_steps,
        parallel_trials=tune_args.num_parallel_trials,
        custom_config=custom_config,
        working_directory=context.temporary_directory or None,
    )
