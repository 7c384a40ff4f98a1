"""Models that runs have made, as stores have them, to be registered; and moving them at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock import registry
from penstock.execution import contents
from penstock.metadata.store import connect, connection_config
from penstock_support.histories import History


def trained(
    history: History,
    run: str,
    *,
    blessed: bool | None = True,
    span: int = 1,
    auc: float = 0.9,
    parameters: Mapping[str, Any] | None = None,
) -> int:
    """Record a run that trained a model and judged it; return the id of the model's artifact."""
    examples = history.execute(
        run,
        "CsvExampleGen",
        outputs={"examples": "Examples"},
        properties={"examples": {"span": span, "content_digest": f"data of {span}"}},
        run_parameters=parameters,
    )
    schema = history.execute(
        run,
        "ImportSchemaGen",
        outputs={"schema": "Schema"},
        properties={"schema": {"content_digest": "schema"}},
    )
    made = history.execute(
        run,
        "Trainer",
        {"examples": [examples["examples"]], "schema": [schema["schema"]]},
        {"model": "Model"},
        properties={"model": {}},
    )
    with_contents(history, made["model"])
    metrics = json.dumps(
        [{"metric": "auc", "value": auc, "lower": auc - 0.01, "upper": auc + 0.01}]
    )
    judgement = {} if blessed is None else {"blessed": int(blessed)}
    history.execute(
        run,
        "Evaluator",
        {"examples": [examples["examples"]], "model": [made["model"]]},
        {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"},
        properties={"evaluation": {"metrics": metrics}, "blessing": judgement},
    )
    return made["model"]


def with_contents(history: History, artifact_id: int) -> None:
    """Record the digest of an artifact's files, as workers do."""
    [artifact] = history.store.get_artifacts_by_id([artifact_id])
    contents.record(artifact)
    history.store.put_artifacts([artifact])


def alter(history: History, artifact_id: int) -> Path:
    """Change a file of an artifact, without another size."""
    [artifact] = history.store.get_artifacts_by_id([artifact_id])
    file = next(path for path in Path(artifact.uri).rglob("*") if path.is_file())
    file.write_text("x" * file.stat().st_size)
    return file


def move_often(address: str, who: str, versions: int, moves: int, ready: Any, go: Any) -> None:
    """Move an alias as often as asked, deciding anew where another was first; by a process."""
    with connect(connection_config(address)) as metadata:
        ready.release()
        go.wait()
        for number in range(moves):
            while True:
                try:
                    registry.move_alias(
                        metadata.store,
                        "m",
                        "champion",
                        number % versions + 1,
                        who=who,
                        why=f"{who} {number}",
                    )
                    break
                except registry.AliasMovedError:
                    continue
