"""Tuning: what the user's tuner_fn is given, who runs its trials, and what is kept of them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.artifacts import Examples
from penstock.components.trainer.executor import common_arguments
from penstock.components.tuner.results import Found
from penstock.data.parallel.processes import Advance, in_processes, may_fork
from penstock.errors import UserCodeError
from penstock.project import user_code

_CHIEF = "chief"
_LOOK_SECONDS = 0.2


def tune(
    *,
    examples: Sequence[Examples],
    best_hyperparameters_uri: str,
    tuner_results_uri: str,
    schema_uri: str | None = None,
    transform_graph_uri: str | None = None,
    base_model_uri: str | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    tuner_fn: str | None = None,
    train_splits: Sequence[str] = (),
    train_steps: int = 0,
    eval_splits: Sequence[str] = (),
    eval_steps: int = 0,
    parallel_trials: int = 0,
    custom_config: dict[str, Any] | None = None,
    working_directory: str | None = None,
) -> None:
    """Call the user's `tuner_fn` with TFX's FnArgs, let its tuner search, and keep what it found.

    As in TFX no splits mean `train` and `eval`, and 0 steps become None.
    """
    load = partial(
        user_code.load_function,
        "tuner_fn",
        module_file=module_file,
        module_path=module_path,
        function=tuner_fn,
    )
    arguments = partial(
        common_arguments,
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
    search = partial(_search, load, arguments)
    if parallel_trials > 1 and may_fork():
        found = _search_together(search, parallel_trials)
    else:
        if parallel_trials > 1:
            print("The trials run one after another, as TensorFlow has started in this process.")
        found = _found(search())
    found.write(best_hyperparameters_uri, tuner_results_uri)


@dataclass(frozen=True)
class _Searched:
    """A tuner of KerasTuner's that has searched, and the file of the code that made it."""

    tuner: Any
    module: str


def _search(
    load: Callable[[], Any],
    arguments: Callable[[], Any],
    how: Callable[[Any, Mapping[str, Any]], None] = lambda tuner, fit: tuner.search(**fit),
) -> _Searched:
    """Search in this process, or take its part in the search of several."""
    function = load()
    module = function.__code__.co_filename
    made = user_code.run(function, arguments())
    if not (hasattr(made, "tuner") and hasattr(made, "fit_kwargs")):
        raise UserCodeError(
            f"tuner_fn returned {type(made).__name__} where a TunerFnResult is expected",
            path=module,
            hint="Return TunerFnResult(tuner=..., fit_kwargs={...}), of "
            "tfx.components.tuner.component.",
        )
    try:
        how(made.tuner, made.fit_kwargs or {})
    except Exception as error:  # the search runs the model that the user's code builds
        raise user_code.error_of(function, error) from error
    return _Searched(made.tuner, module)


def _search_together(search: Callable[..., _Searched], trials: int) -> Found:
    """Search in several processes, by the protocol that KerasTuner has for it.

    The chief hands out the trials, and alone knows them all.
    """
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    roles = [*(f"tuner{number}" for number in range(trials)), _CHIEF]

    def work(role: str, _: Advance) -> Found | None:
        os.environ.update(
            KERASTUNER_TUNER_ID=role,
            KERASTUNER_ORACLE_IP="127.0.0.1",
            KERASTUNER_ORACLE_PORT=str(port),
        )
        if role == _CHIEF:
            return _found(search(partial(_lead, trials)))
        search()
        return None

    outcomes = in_processes(work, roles, named=lambda role: f"be {role}", together=True)
    found = list(outcomes)[-1]
    assert found is not None, "the chief knows the trials"
    return found


def _lead(tuners: int, tuner: Any, fit: Mapping[str, Any]) -> None:
    """Hand out trials until all tuners have come and gone.

    By itself KerasTuner's chief looks for that every 20 s, once the first has gone.
    """
    seen: set[str] = set()
    # A thread of a pool would be waited for.
    leading: Future[None] = Future()
    threading.Thread(target=_into, args=(leading, tuner, fit), daemon=True).start()
    while not leading.done():
        wait([leading], timeout=_LOOK_SECONDS)
        at_work = set(tuner.oracle.tuner_ids)
        seen |= at_work
        if len(seen) == tuners and not at_work and not tuner.oracle.ongoing_trials:
            return
    leading.result()


def _into(future: Future[None], tuner: Any, fit: Mapping[str, Any]) -> None:
    try:
        future.set_result(tuner.search(**fit))
    except BaseException as error:
        future.set_exception(error)


def _found(searched: _Searched) -> Found:
    tuner = searched.tuner
    best = tuner.get_best_hyperparameters()
    if not best:
        raise UserCodeError(
            "the tuner has no best hyperparameters: none of its trials came to an end",
            path=searched.module,
            hint="Look at the node's log for what the trials failed at.",
        )
    trials = [
        {"trial_id": trial.trial_id, "score": trial.score, **trial.hyperparameters.values}
        for trial in tuner.oracle.get_best_trials(tuner.oracle.max_trials)
        if trial.status == "COMPLETED" and trial.hyperparameters.values
    ]
    return Found(best[0].get_config(), trials)
