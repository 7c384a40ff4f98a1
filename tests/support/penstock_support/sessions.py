"""Each request in a process of its own, which has imported Penstock but nothing of the project.

As a command does, such a process imports the project's modules anew. It reads requests as lines of
JSON from its standard input, and answers each with one: `python -c "...; sessions.serve()"`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from penstock_support import IMPORT_PATH

_SERVE = (
    "import sys; sys.path.insert(0, {!r}); from penstock_support import sessions; sessions.serve()"
)


class Sessions:
    """The caller's side."""

    def __init__(self, folder: Path) -> None:
        command = _SERVE.format(IMPORT_PATH)
        self._log = open(folder / "sessions.log", "w")  # noqa: SIM115  # closed by close
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-B", "-c", command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def ask(self, action: str, **request: Any) -> Any:
        """Do an action in a new process and return what came of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"action": action, **request}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the process died"}')
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()


def serve() -> None:
    """Answer requests until there are no more."""
    import penstock.components
    import penstock.config
    import penstock.runners.local  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        read_end, write_end = os.pipe()
        process_id = os.fork()
        if not process_id:
            os.close(read_end)
            with os.fdopen(write_end, "w") as answer:
                try:
                    answer.write(json.dumps({"result": _act(**json.loads(line))}))
                except BaseException:
                    answer.write(json.dumps({"error": traceback.format_exc()}))
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end) as answer:
            answers.write((answer.read() or '{"error": "it ended without an answer"}') + "\n")
        os.waitpid(process_id, 0)
        answers.flush()


def _act(action: str, pipeline: str, parameters: dict[str, Any], **options: Any) -> Any:
    from penstock.config import read_config
    from penstock.runners.local import LocalRunner
    from penstock.runners.local.display import Silent

    config = read_config(Path("penstock.toml"))
    profile = config.profile()
    definition = config.load_pipeline(pipeline)
    runner = LocalRunner(
        pipeline_root=profile.root_of(definition.name),
        metadata=profile.metadata_address(),
        display=Silent(),
    )
    parameters = {**profile.parameters.get(definition.name, {}), **parameters}
    if action == "plan":
        return {
            node.node_id: (node.verdict.name, node.reasons)
            for node in runner.plan(definition, parameters=parameters, **options)
        }
    result = runner.run(definition, parameters=parameters, raise_on_failure=False, **options)
    return {
        node.node_id: {
            "state": node.state.name,
            "error": node.error,
            "outputs": {key: [a.uri for a in found] for key, found in node.outputs.items()},
        }
        for node in result.nodes.values()
    }
