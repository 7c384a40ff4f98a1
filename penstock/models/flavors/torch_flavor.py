"""PyTorch: exported programs, which hold a graph; or safetensors beside the code that is named.

An exported program runs without the class that it was made of. Where a module cannot be exported,
its weights are kept as safetensors and the function that builds the module is named: that is
code, and who loads the model says that it may run.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.flavors.torch_program import check_program, without_unpickling
from penstock.models.predictions import array_of, classification, matrix_of, regression
from penstock.models.signature import Signature

NAME = "torch"
MODULES = ("torch",)
PACKAGES = ("torch", "safetensors", "numpy")

PROGRAM_FILE = "model.pt2"
WEIGHTS_FILE = "model.safetensors"

# What may be made of a module's output before it is a prediction.
ACTIVATIONS = ("sigmoid", "softmax")


def recognizes(model: Any) -> bool:
    """Return whether a model is a module of PyTorch, or a program exported from one."""
    return comes_from(model, "torch")


def is_in(directory: str) -> bool:
    """Return whether there is an exported program."""
    return os.path.isfile(os.path.join(directory, PROGRAM_FILE))


def inputs_of(model: Any) -> Sequence[str] | None:
    """Return None: a module does not know what its columns are called."""
    del model
    return None


def signature_in(directory: str) -> Signature | None:
    """Return None: a program knows shapes, and no names of columns."""
    del directory
    return None


def save(model: Any, saving: Saving) -> Mapping[str, Any]:
    """Write an exported program, or the weights where `options` name a `factory`.

    A module takes one matrix of float32 with the columns in their order; one with several
    arguments that are named as columns takes these, each of shape (rows,). The options are
    `activation`, "sigmoid" or "softmax", for modules that give logits, and `factory`, as
    "package.module:function", which builds the module anew.

    Raises:
      DataError: the module cannot be exported, or an option is unknown.
    """
    options = dict(saving.options)
    activation = options.pop("activation", None)
    factory = options.pop("factory", None)
    if options or activation not in (None, *ACTIVATIONS):
        raise DataError(
            f"a model of PyTorch is saved with the options activation ({' or '.join(ACTIVATIONS)}) "
            f"and factory, and these are {dict(saving.options)!r}"
        )
    by_name = _arguments_by_name(model, saving.example.schema.names)
    details = {
        "by_name": by_name,
        "activation": activation,
        "classes": None if saving.classes is None else list(saving.classes),
    }
    if factory is None:
        _export(model, _tensors(saving.example, saving.example.schema.names, by_name), saving)
        return details
    from safetensors.torch import save_model

    save_model(model, os.path.join(saving.directory, WEIGHTS_FILE))
    return {**details, "factory": factory}


def load(loading: Loading) -> Predictor:
    """Return the predictor of a program, or of weights and the code that they belong to.

    Raises:
      DataError: the files cannot be read, or nobody said that the code may run.
    """
    import torch

    run = _module(loading)
    details = loading.details
    activation = details.get("activation")
    classes = details.get("classes")

    def predict(table: Any) -> Any:
        names = list(loading.inputs or table.schema.names)
        tensors = _tensors(table, names, bool(details.get("by_name")))
        with torch.no_grad():
            given = run(*tensors)
            if activation:
                given = torch.sigmoid(given) if activation == "sigmoid" else given.softmax(dim=-1)
        values = given.double().numpy()
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        return regression(values) if classes is None else classification(values, classes)

    return predict


def _module(loading: Loading) -> Callable[..., Any]:
    import torch

    factory = loading.details.get("factory")
    if factory is not None:
        return _built(factory, loading)
    path = os.path.join(loading.directory, PROGRAM_FILE)
    check_program(path)
    try:
        with without_unpickling():
            program = torch.export.load(path)
    except Exception as error:  # whatever a broken archive makes torch raise
        raise DataError(
            f"cannot read the model: {type(error).__name__}: {str(error).splitlines()[0]}",
            path=path,
        ) from error
    # Guards are texts that torch would run as Python; the signature has checked the rows already.
    takes = inspect.signature(program.module).parameters
    return program.module(**({"check_guards": False} if "check_guards" in takes else {}))


def _built(factory: str, loading: Loading) -> Any:
    from safetensors.torch import load_model

    path = os.path.join(loading.directory, WEIGHTS_FILE)
    if factory not in loading.trusted:
        raise DataError(
            f"the model is weights and code: loading it would run {factory}",
            path=path,
            hint=f"If you trust it: load_model(..., trusted=[{factory!r}]).",
        )
    module_name, _, function = factory.partition(":")
    module = getattr(importlib.import_module(module_name), function)()
    load_model(module, path)
    return module.eval()


def _export(model: Any, tensors: Sequence[Any], saving: Saving) -> None:
    import torch

    path = os.path.join(saving.directory, PROGRAM_FILE)
    program = model
    if not isinstance(model, torch.export.ExportedProgram):
        rows = torch.export.Dim("rows")
        # One row alone would be taken for the only number of rows there is.
        examples = tuple(torch.cat([t, t]) if len(t) < 2 else t for t in tensors)
        try:
            program = torch.export.export(
                model.cpu().eval(), examples, dynamic_shapes=tuple({0: rows} for _ in examples)
            )
        except Exception as error:  # exporting raises what the user's code does, and much else
            raise DataError(
                f"the module cannot be exported: {type(error).__name__}: {error}",
                hint="See torch.export's limits, or name the function that builds the module: "
                "options={'factory': 'package.module:function'}; loading it then runs that code.",
            ) from error
    torch.export.save(program, path)


def _arguments_by_name(model: Any, names: Sequence[str]) -> bool:
    try:
        arguments = list(inspect.signature(model.forward).parameters)
    except (AttributeError, TypeError, ValueError):
        return False
    return arguments == list(names) and len(names) > 1


def _tensors(table: Any, names: Sequence[str], by_name: bool) -> tuple[Any, ...]:
    import torch

    if not by_name:
        return (torch.from_numpy(matrix_of(table, names, "float32")),)
    arrays = [array_of(table, name) for name in names]
    return tuple(
        torch.from_numpy(a.astype("float32") if a.dtype.kind == "f" else a.astype("int64"))
        for a in arrays
    )
