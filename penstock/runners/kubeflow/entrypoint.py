"""The command of every container: runs a node of a pipeline, and reports to the launcher.

Small nodes may share a container, one after the other. The exit code is 0 when the nodes' outputs
are made, or they had nothing to do; 1 when one failed; and 143, as of a process that SIGTERM ended,
when it was asked to end.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from penstock.errors import PenstockError
from penstock.safety.secrets import redaction_for

_EXIT_CODES = {"done": 0, "failed": 1, "canceled": 143}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the task that the arguments name; return the exit code."""
    parser = argparse.ArgumentParser(prog="penstock.runners.kubeflow.entrypoint")
    parser.add_argument(
        "--task", action="append", required=True, help="a node, as the compiler wrote it"
    )
    parser.add_argument("--executor-input", required=True, help="Kubeflow's ExecutorInput")
    options = parser.parse_args(arguments)
    # The node's own text is in the last.
    told = [*options.task, options.executor_input]
    redaction = redaction_for(*(text.encode() for text in told))
    try:
        return _EXIT_CODES[_run(options.task, options.executor_input)]
    except PenstockError as error:
        print(f"error: {redaction.text(str(error))}", file=sys.stderr, flush=True)
    except Exception:
        print(redaction.text(traceback.format_exc()), file=sys.stderr, flush=True)
    return 1


def _run(task_texts: Sequence[str], executor_input: str) -> str:
    from penstock.data.files.remote import MINIO_VARIABLE
    from penstock.runners.kubeflow.contract.task import PodTask
    from penstock.runners.kubeflow.contract.texts import Texts
    from penstock.runners.kubeflow.pod.launcher import read_executor_input
    from penstock.runners.kubeflow.pod.object_store import find_minio
    from penstock.runners.kubeflow.pod.running import run_tasks

    launched = read_executor_input(executor_input)
    tasks = [PodTask.from_texts(Texts(text, launched.own)) for text in task_texts]
    if tasks[0].project_folder:
        os.chdir(tasks[0].project_folder)
    folders = dict.fromkeys(folder for task in tasks for folder in task.import_paths)
    for folder in reversed(folders):
        sys.path.insert(0, os.path.abspath(folder))
    if endpoint := find_minio(launched.addresses):
        os.environ[MINIO_VARIABLE] = endpoint
    return run_tasks(tasks, launched)


if __name__ == "__main__":
    sys.exit(main())
