"""Trainer: run the user's training code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock import Input, NodeContext, Output, component
from penstock.artifacts import Examples, HyperParameters, Model, ModelRun, Schema, TransformGraph
from penstock.authoring.component import NodeOutline


@dataclass(frozen=True)
class TrainArgs:
    """The splits to train on, and for how many steps; 0 leaves that to the training code."""

    splits: list[str] = field(default_factory=lambda: ["train"])
    num_steps: int = 0


@dataclass(frozen=True)
class EvalArgs:
    """The splits to evaluate on, and for how many steps; 0 leaves that to the training code."""

    splits: list[str] = field(default_factory=lambda: ["eval"])
    num_steps: int = 0


def _preload(node: NodeOutline) -> tuple[str, ...]:
    if node.parameters.get("train_fn"):
        from penstock.components.trainer.frameworks import imported_frameworks

        return imported_frameworks(node.parameters, "train_fn")
    return ("tensorflow_transform", "tfx.components.trainer.fn_args_utils")


@component(preload=_preload, system_type="train")
def Trainer(
    examples: Input[list[Examples]],
    model: Output[Model],
    model_run: Output[ModelRun],
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    hyperparameters: Input[HyperParameters] | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    run_fn: str | None = None,
    train_fn: str | None = None,
    seed: int | None = None,
    train_args: TrainArgs = TrainArgs(),
    eval_args: EvalArgs = EvalArgs(),
    custom_config: dict[str, Any] | None = None,
    context: NodeContext = NodeContext(),
) -> None:
    """Train a model of any framework by the user's `train_fn`, or by TFX's `run_fn`.

    `train_fn(training)` gets a `penstock.models.Training` and returns the model, or a
    `penstock.models.TrainedModel`, which is saved, signed and loaded in a fresh process. `seed` is
    handed to it, 0 where none is given. `run_fn(fn_args)` gets TFX's `FnArgs`, so that training
    code written for TFX runs as it is; it saves the model itself in `fn_args.serving_model_dir`,
    and logs and checkpoints in `fn_args.model_run_dir`. Either comes from `module_file`, the path
    of a Python file, from `module_path`, the name of a module, or is itself the dotted name of a
    function; without either the function `run_fn` is called.

    Raises:
      UserCodeError: the code does not load, fails, or leaves no model that can be used.
      DataError: a split is missing.
    """
    if train_fn:
        from penstock.components.trainer import training

        training.train(
            examples=examples,
            model=model,
            model_run_uri=model_run.uri,
            schema_uri=schema and schema.uri,
            hyperparameters_uri=hyperparameters and hyperparameters.uri,
            module_file=module_file,
            module_path=module_path,
            train_fn=train_fn,
            seed=seed or 0,
            train_splits=train_args.splits,
            eval_splits=eval_args.splits,
            parameters=custom_config,
        )
        return
    from penstock.components.trainer import executor

    executor.train(
        examples=examples,
        model=model,
        model_run_uri=model_run.uri,
        transform_graph_uri=transform_graph and transform_graph.uri,
        schema_uri=schema and schema.uri,
        base_model_uri=base_model and base_model.uri,
        hyperparameters_uri=hyperparameters and hyperparameters.uri,
        module_file=module_file,
        module_path=module_path,
        run_fn=run_fn,
        train_splits=train_args.splits,
        train_steps=train_args.num_steps,
        eval_splits=eval_args.splits,
        eval_steps=eval_args.num_steps,
        custom_config=custom_config,
        working_directory=context.temporary_directory or None,
    )
