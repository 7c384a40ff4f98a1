"""What may be done with TFX's classes before and after they are executed; each tells what it saw.

None is imported with TensorFlow there, and each runs in a process of its own.
"""

from __future__ import annotations

import copy
import importlib
import pickle
import sys

from tfx import v1 as tfx
from tfx.components.example_gen.csv_example_gen import executor as csv_executor
from tfx.components.trainer import executor as trainer_executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.base_executor import BaseExecutor


def recorded_path() -> str:
    """The path of an executor's class, as TFX records it."""
    return str(tfx.components.CsvExampleGen.EXECUTOR_SPEC.class_path)


def untouched() -> list[bool]:
    """What needs no execution: naming, comparing, hashing, copying a spec, and annotations."""
    kind = trainer_executor.GenericExecutor
    spec = tfx.components.Trainer.EXECUTOR_SPEC
    return [
        kind is trainer_executor.GenericExecutor,
        kind == spec.executor_class,
        len({kind, spec.executor_class}) == 1,
        kind != csv_executor.Executor,
        isinstance(kind, type),
        issubclass(kind, BaseExecutor),
        copy.deepcopy(spec).class_path == spec.class_path,
    ]


def asked_whether_installed() -> list[bool]:
    """What is asked before a run: whether libraries are there, after a pipeline was defined."""
    from penstock._tfx import lazy
    from penstock.project import extras, keras

    keras.settle_before_transform(after=("tfx.v1",))
    libraries = ("tensorflow", "tensorflow_transform")
    return [*map(extras.is_installed, libraries), lazy.is_open()]


def transform_by_another_keras() -> list[bool]:
    """Keras is settled before tensorflow_transform, which would have Keras 2."""
    from penstock.project import keras

    keras.settle_before_transform(after=("tfx.v1",))
    importlib.import_module("tensorflow_transform")
    return [hasattr(sys.modules["tensorflow"].keras, "version")]  # Keras 2 has none


def derived() -> list[bool]:
    """A class that is derived from an executor is derived from the real one."""

    class Own(trainer_executor.GenericExecutor):
        def own(self) -> str:
            return type(super()).__name__

    real = importlib.import_module(trainer_executor.__name__).GenericExecutor
    return [Own.__mro__[1] is real, type(real).__name__ == "ABCMeta", Own().own() == "super"]


def called() -> list[bool]:
    """An object of the class is one of the real class."""
    made = trainer_executor.GenericExecutor()
    return [isinstance(made, trainer_executor.GenericExecutor), isinstance(made, BaseExecutor)]


def asked_for_bases() -> list[bool]:
    """Whether an executor runs on Beam."""
    return [
        issubclass(csv_executor.Executor, BaseBeamExecutor),
        not issubclass(trainer_executor.GenericExecutor, BaseBeamExecutor),
    ]


def pickled() -> list[bool]:
    """A pickle has the class itself."""
    kind = trainer_executor.GenericExecutor
    back = pickle.loads(pickle.dumps(kind))
    return [back is sys.modules[kind.__module__].GenericExecutor, back == kind]


def documented() -> list[bool]:
    """Attributes of a class that stands for another are that one's."""
    return [
        "Do" in dir(trainer_executor.GenericExecutor),
        "run_fn" in (trainer_executor.GenericExecutor.__doc__ or ""),
        csv_executor.Executor.Context is BaseBeamExecutor.Context,
    ]


def starred() -> list[bool]:
    """All names of a package, at once."""
    names: dict[str, object] = {}
    exec("from tfx.v1.components import *", names)
    return [names["Pusher"] is tfx.components.Pusher, "FnArgs" in names]


def reached_by_attributes() -> list[bool]:
    """Modules that nobody imported by name, as after the import of all."""
    import tfx.components

    return [tfx.components.trainer.component.Trainer is tfx.components.Trainer]


def changed() -> list[bool]:
    """What somebody sets in a module stays there."""
    trainer_executor.TrainerFnArgs = 3
    return [
        trainer_executor.TrainerFnArgs == 3,
        trainer_executor.GenericExecutor.__module__ == trainer_executor.__name__,
    ]


def files_after_tensorflow() -> list[bool]:
    """TFX's files are TensorFlow's, though TFX came first."""
    import tensorflow as tf
    from tfx.components.example_gen import utils
    from tfx.dsl.io import fileio, filesystem_registry

    assert utils.make_default_input_config()
    assert trainer_executor.GenericExecutor.__init__
    trainer_executor.GenericExecutor()
    found = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.get_filesystem_for_path(b"/tmp/x")
    return [found.__module__.endswith("tensorflow_gfile"), fileio.exists("/"), bool(tf.__version__)]
