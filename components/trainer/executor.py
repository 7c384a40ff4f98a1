"""Training: what the user's run_fn is given, and what it must leave behind."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.artifacts import Examples, Model
from penstock.components.trainer import finiteness
from penstock.components.trainer.facts import record_facts
from penstock.components.trainer.hyperparameters import only_file, read_hyperparameters_file
from penstock.data.splits import CUSTOM_SPLIT_PATTERN, split_directory, split_files
from penstock.errors import DataError, UserCodeError
from penstock.models import layout
from penstock.models.facts import write_facts
from penstock.models.saving import EXAMPLE_ROWS, describe_saved_model
from penstock.models.training_data import TrainingData
from penstock.project import user_code

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs


def train(
    *,
    examples: Sequence[Examples],
    model: Model,
    model_run_uri: str,
    transform_graph_uri: str | None = None,
    schema_uri: str | None = None,
    base_model_uri: str | None = None,
    hyperparameters_uri: str | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    run_fn: str | None = None,
    train_splits: Sequence[str] = (),
    train_steps: int = 0,
    eval_splits: Sequence[str] = (),
    eval_steps: int = 0,
    custom_config: dict[str, Any] | None = None,
    working_directory: str | None = None,
) -> None:
    """Call the user's `run_fn` with TFX's FnArgs and check the model that it saves.

    As in TFX no splits mean `train` and `eval`, and 0 steps become None.
    """
    function = user_code.load_function(
        "run_fn", module_file=module_file, module_path=module_path, function=run_fn
    )
    arguments = common_arguments(
        examples=examples,
        transform_graph_uri=transform_graph_uri,
        schema_uri=schema_uri,
        base_model_uri=base_model_uri,
        train_splits=train_splits,
        train_steps=train_steps,
        eval_splits=eval_splits,
        eval_steps=eval_steps,
        custom_config=custom_config,
        working_directory=working_directory,
    )
    arguments.serving_model_dir = layout.serving_model_directory(model.uri)
    arguments.eval_model_dir = layout.evaluation_model_directory(model.uri)
    arguments.model_run_dir = model_run_uri
    if hyperparameters_uri:
        arguments.hyperparameters = read_hyperparameters_file(hyperparameters_uri)
    user_code.run(function, arguments)
    files = [file for pattern in arguments.train_files for file in sorted(glob.glob(pattern))]
    module = function.__code__.co_filename
    check_model(arguments.serving_model_dir, module, model_run_uri, files)
    describe(model, TrainingData(tuple(files)))


def describe(model: Model, data: TrainingData) -> None:
    """Keep what is known of a model that `run_fn` has saved, where a flavor knows it.

    Its example are rows of the training data, if they have what the model takes: a model that
    has its preprocessing inside takes other columns than those it was trained on.
    """
    directory = layout.serving_model(model.uri)
    try:
        facts = describe_saved_model(directory, lambda: next(data.batches(EXAMPLE_ROWS), None))
    except DataError as error:
        print(f"What the model takes and gives is not known: {error}")
        return
    if facts is not None:
        write_facts(directory, facts)
        record_facts(facts, model)


def common_arguments(
    *,
    examples: Sequence[Examples],
    transform_graph_uri: str | None,
    schema_uri: str | None,
    base_model_uri: str | None,
    train_splits: Sequence[str],
    train_steps: int,
    eval_splits: Sequence[str],
    eval_steps: int,
    custom_config: dict[str, Any] | None,
    working_directory: str | None,
) -> FnArgs:
    """Return the FnArgs that training and tuning have in common."""
    from tfx.components.trainer.fn_args_utils import FnArgs

    from penstock.components.trainer.data_access import data_accessor

    schema_path = only_file(schema_uri) if schema_uri else None
    return FnArgs(
        working_dir=working_directory,
        train_files=file_patterns(examples, train_splits or ["train"]),
        eval_files=file_patterns(examples, eval_splits or ["eval"]),
        train_steps=train_steps or None,
        eval_steps=eval_steps or None,
        schema_path=schema_path,
        schema_file=schema_path,
        transform_graph_path=transform_graph_uri,
        transform_output=transform_graph_uri,
        data_accessor=data_accessor(examples),
        base_model=layout.serving_model(base_model_uri) if base_model_uri else None,
        custom_config=custom_config,
    )


def file_patterns(examples: Sequence[Examples], splits: Sequence[str]) -> list[str]:
    """Return patterns for the files of each split of each artifact, as TFX's FnArgs has them.

    Raises:
      DataError: an artifact lacks one of the splits or its files.
    """
    patterns = []
    for split in splits:
        for artifact in examples:
            files = split_files(artifact, split)
            if artifact.has_custom_property(CUSTOM_SPLIT_PATTERN):
                patterns += files
            else:
                patterns.append(os.path.join(split_directory(artifact.uri, split), "*"))
    return patterns


def check_model(
    directory: str,
    module: str,
    model_run_directory: str | None = None,
    files: Sequence[str] = (),
) -> None:
    """Raise UserCodeError where training left no model, or one whose weights are not numbers.

    `files` are those of the training data, which are looked at for what made them so.

    Models of other libraries have no `saved_model.pb`; any file will do for them.
    """
    if not os.path.isdir(directory) or not os.listdir(directory):
        raise UserCodeError(
            f"run_fn saved no model: {os.path.join(directory, layout.SAVED_MODEL_FILE)} "
            "was expected and is not there",
            path=module,
            hint="Save the model at the end of run_fn: "
            "model.export(fn_args.serving_model_dir), or tf.saved_model.save(...) with its "
            "signatures.",
        )
    finiteness.check_weights(directory, module, model_run_directory, files)
