"""What a run came to, in a word and with its reasons."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.execution.logs import log_tail
from penstock.metadata.layout import log_path
from penstock.report.contents import Output, RunContents
from penstock.report.evaluations import Evaluation
from penstock.safety import bounded

BLESSED, NOT_BLESSED, DONE, FAILED = "blessed", "not-blessed", "done", "failed"
CANCELED, RUNNING = "canceled", "running"


@dataclass(frozen=True)
class Failure:
    """A node that failed: what went wrong, and the end of what it printed."""

    node_id: str
    error: str
    log: str = ""
    log_path: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a run came to; `kind` is one of this module's names, `title` says it to people.

    `reasons` say why, `notes` what else is worth to know, `pushed` where a model went.
    """

    kind: str
    title: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pushed: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


def judge(contents: RunContents, evaluations: tuple[Evaluation, ...] = ()) -> Verdict:
    """Return what a run came to."""
    failures = tuple(
        Failure(node.node_id, node.record.error, *_log(contents, node.node_id))
        for node in contents.nodes
        if node.state == "failed" and node.record is not None
    )
    state = contents.run.state
    pushed, not_pushed = _pushes(contents)
    if state == "failed":
        names = " and ".join(failure.node_id for failure in failures)
        return Verdict(FAILED, f"Failed: {names}" if names else "Failed", (), (), pushed, failures)
    if state == "canceled":
        return Verdict(CANCELED, "Canceled", (), (), pushed, failures)
    if state == "abandoned":
        left = f"Nobody works on it any more. Go on with it: penstock resume {contents.run.run_id}"
        return Verdict(FAILED, "Abandoned", (left,), (), pushed, failures)
    if state == "running":
        return Verdict(RUNNING, "Running", (), (), pushed, failures)
    blessings = [
        (o, o.artifact.properties.get("blessed")) for o in contents.outputs("ModelBlessing")
    ]
    refused = [output for output, blessed in blessings if blessed == 0]
    if refused:
        reasons = _reasons(refused, evaluations)
        return Verdict(NOT_BLESSED, "Not blessed", reasons, not_pushed, pushed, failures)
    if any(blessed == 1 for _, blessed in blessings):
        held = sum(len(evaluation.thresholds) for evaluation in evaluations)
        why = {0: "Its thresholds hold.", 1: "Its threshold holds."}.get(
            held, f"All {held} thresholds hold."
        )
        return Verdict(BLESSED, "Blessed", (why,), not_pushed, pushed, failures)
    undecided = ("The model is neither blessed nor not: its evaluation has no thresholds.",)
    return Verdict(DONE, "Done", undecided if blessings else (), (), pushed, failures)


def _reasons(refused: list[Output], evaluations: tuple[Evaluation, ...]) -> tuple[str, ...]:
    listed = [reason for evaluation in evaluations for reason in evaluation.failures]
    for output in refused if not listed else ():
        text = output.artifact.properties.get("failures")
        try:
            content = bounded.parse_json(text) if text else []
        except (TypeError, ValueError):
            content = []
        listed += [str(reason) for reason in content] if isinstance(content, list) else []
    return tuple(listed or ["A threshold does not hold; the store does not say which."])


def _pushes(contents: RunContents) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pushed, not_pushed = [], []
    for output in contents.outputs("PushedModel"):
        properties = output.artifact.properties
        if properties.get("pushed") == 1:
            pushed.append(str(properties.get("pushed_destination") or output.artifact.uri))
        else:
            not_pushed.append(f"{output.node_id} pushed no model.")
    return tuple(pushed), tuple(not_pushed)


def _log(contents: RunContents, node_id: str) -> tuple[str, str]:
    if not contents.log_folder:
        return "", ""
    path = log_path(contents.log_folder, node_id)
    return log_tail(path), path
