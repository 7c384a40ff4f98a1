"""Where a Model artifact keeps its models, as TFX lays them out.

    {uri}/Format-Serving/saved_model.pb         the model to serve, here TensorFlow's
    {uri}/Format-Serving/penstock_model.json    what is known of it
    {uri}/Format-TFMA/saved_model.pb            an Estimator's evaluation graph, where there is one

Artifacts of older TFX releases and of Estimators are read too: `serving_model_dir` and
`eval_model_dir` instead of the formats, and models below `export/{exporter}/{timestamp}`.
"""

from __future__ import annotations

import os

from penstock.errors import DataError

SERVING = "Format-Serving"
EVALUATION = "Format-TFMA"
SAVED_MODEL_FILE = "saved_model.pb"
# Where an InfraBlessing has the model with its warm-up requests.
STAMPED_MODEL = "stamped_model"
_OLD_NAMES = {SERVING: "serving_model_dir", EVALUATION: "eval_model_dir"}


def serving_model_directory(uri: str) -> str:
    """Return where a Trainer writes the model to serve."""
    return os.path.join(uri, SERVING)


def evaluation_model_directory(uri: str) -> str:
    """Return where a Trainer of Estimators writes the graph to evaluate with."""
    return os.path.join(uri, EVALUATION)


def model_directory(path: str) -> str:
    """Return the folder of a model: that of an artifact's model to serve, or the folder itself.

    Raises:
      DataError: there is no such folder.
    """
    if not os.path.isdir(path):
        raise DataError(
            "expected the folder of a model, found none"
            if not os.path.exists(path)
            else "expected the folder of a model, found a file",
            path=path,
            hint="Give the path of a Model artifact, of a pushed version, or of a saved model.",
        )
    if any(os.path.isdir(os.path.join(path, name)) for name in (SERVING, _OLD_NAMES[SERVING])):
        return serving_model(path)
    return path


def version_numbers(folder: str) -> list[int]:
    """Return the numbers of the versions in a folder of pushed versions, which are their names."""
    try:
        entries = list(os.scandir(folder))
    except (NotADirectoryError, FileNotFoundError):
        return []
    return [int(entry.name) for entry in entries if entry.name.isdecimal() and entry.is_dir()]


def newest_version(folder: str) -> int | None:
    """Return the highest number of the versions in a folder; None where there are none."""
    return max(version_numbers(folder), default=None)


def serving_model(uri: str) -> str:
    """Return the directory of the model to serve in a Model artifact.

    Raises:
      DataError: the artifact has none.
    """
    directory = _format_directory(uri, SERVING)
    export = os.path.join(directory, "export")
    if os.path.isdir(export):
        return _only_entry(_only_entry(export))
    return directory


def evaluation_model(uri: str) -> str:
    """Return the directory of the model to evaluate: an evaluation graph, or the model to serve.

    Raises:
      DataError: the artifact has neither.
    """
    for name in (EVALUATION, _OLD_NAMES[EVALUATION]):
        directory = os.path.join(uri, name)
        if os.path.isfile(os.path.join(directory, SAVED_MODEL_FILE)):
            return directory
        if os.path.isdir(directory):
            return _only_entry(directory)
    return serving_model(uri)


def _format_directory(uri: str, name: str) -> str:
    directory = os.path.join(uri, name)
    if os.path.isdir(directory):
        return directory
    old = os.path.join(uri, _OLD_NAMES[name])
    if os.path.isdir(old):
        return old
    entries = sorted(os.listdir(uri)) if os.path.isdir(uri) else None
    raise DataError(
        f"a Model artifact should have a directory {name}, and this one "
        + ("does not exist" if entries is None else f"has {', '.join(entries) or 'nothing'}"),
        path=uri,
        hint="The code that trains the model should save it to fn_args.serving_model_dir.",
    )


def _only_entry(directory: str) -> str:
    entries = sorted(os.listdir(directory))
    if len(entries) != 1:
        raise DataError(
            f"expected one exported model, found {len(entries)}: {', '.join(entries)}",
            path=directory,
        )
    return os.path.join(directory, entries[0])
