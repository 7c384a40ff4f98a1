"""What the server keeps, and what its requests do: pipelines, experiments, runs, schedules."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.testing.kubeflow import messages, specs, timing
from penstock.testing.kubeflow.listing import page
from penstock.testing.kubeflow.playing import Play, Playing
from penstock.testing.kubeflow.refusals import Refusal, invalid, missing

_NAMED = ("display_name", "created_at", "description")
_LONGEST_NAME = 127
_NEVER = "1970-01-01T00:00:00Z"


@dataclass
class State:
    """The server's database. `namespaces` is None for a single user.

    `has_tasks` is that of servers without ML Metadata: runs have tasks, and no details.
    """

    namespaces: set[str] | None = None
    play: Play = field(default_factory=Play)
    has_tasks: bool = False
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurring_runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    playing: dict[str, Playing] = field(default_factory=dict)
    _specs: dict[str, specs.Pipeline] = field(default_factory=dict)
    _changed: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> str:
        """Return the time, which is later than that of the change before."""
        self._changed = max(datetime.now(UTC), self._changed + timedelta(microseconds=1))
        return self._changed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    # Pipelines and versions

    def create_pipeline(self, body: Any) -> dict[str, Any]:
        """Create a pipeline without versions."""
        message = messages.check(body, messages.PIPELINE)
        name = message.get("name") or message.get("display_name", "")
        if not name:
            raise invalid("name is required")
        return self._add_pipeline(
            name, message.get("namespace", ""), message.get("description", "")
        )

    def upload_pipeline(self, content: bytes, query: Mapping[str, str]) -> dict[str, Any]:
        """Create a pipeline with a version that has its name."""
        pipeline = specs.read_yaml(content)
        name = query.get("name") or query.get("display_name") or pipeline.name
        description = query.get("description", "")
        created = self._add_pipeline(name, query.get("namespace", ""), description)
        self._add_version(created["pipeline_id"], name, description, pipeline)
        return created

    def upload_version(self, content: bytes, query: Mapping[str, str]) -> dict[str, Any]:
        """Create a version of a pipeline."""
        parent = query.get("pipelineid", "")
        if parent not in self.pipelines:
            raise invalid("Failed to create a pipeline version")
        self._allow(self.pipelines[parent]["namespace"])
        pipeline = specs.read_yaml(content)
        name = query.get("name") or query.get("display_name") or pipeline.name
        return self._add_version(parent, name, query.get("description", ""), pipeline)

    def get_pipeline(self, pipeline_id: str) -> dict[str, Any]:
        """Return a pipeline."""
        return self._find(self.pipelines, "Pipeline", pipeline_id)

    def list_pipelines(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of pipelines; those of all users where no namespace is given."""
        namespace = query.get("namespace", "")
        if namespace:
            self._allow(namespace)
        items = [p for p in self.pipelines.values() if p["namespace"] in (namespace, "")]
        return _answer("pipelines", page(items, query, fields=(*_NAMED, "name", "pipeline_id")))

    def get_version(self, pipeline_id: str, version_id: str) -> dict[str, Any]:
        """Return a version, with its specification."""
        self.get_pipeline(pipeline_id)
        version = self._find(self.versions, "PipelineVersion", version_id)
        if version["pipeline_id"] != pipeline_id:
            raise missing("PipelineVersion", version_id)
        return version

    def list_versions(self, pipeline_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of a pipeline's versions."""
        self.get_pipeline(pipeline_id)
        items = [v for v in self.versions.values() if v["pipeline_id"] == pipeline_id]
        fields = (*_NAMED, "name", "pipeline_version_id")
        return _answer("pipeline_versions", page(items, query, fields=fields))

    def _add_pipeline(self, name: str, namespace: str, description: str) -> dict[str, Any]:
        self._allow(namespace)
        _check_length("Pipeline.Name", name)
        if any((p["name"], p["namespace"]) == (name, namespace) for p in self.pipelines.values()):
            raise Refusal("ALREADY_EXISTS", f"The name {name} already exists")
        pipeline = {
            "pipeline_id": _new_id(),
            "display_name": name,
            "name": name,
            "description": description,
            "namespace": namespace,
            "created_at": self.now(),
        }
        self.pipelines[pipeline["pipeline_id"]] = pipeline
        return pipeline

    def _add_version(
        self, pipeline_id: str, name: str, description: str, pipeline: specs.Pipeline
    ) -> dict[str, Any]:
        _check_length("PipelineVersion.Name", name)
        if any(
            (v["pipeline_id"], v["name"]) == (pipeline_id, name) for v in self.versions.values()
        ):
            raise Refusal("ALREADY_EXISTS", f"The name {name} already exists")
        version: dict[str, Any] = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": _new_id(),
            "display_name": name,
            "name": name,
            "description": description,
            "created_at": self.now(),
            "pipeline_spec": pipeline.as_struct(),
        }
        self.versions[version["pipeline_version_id"]] = version
        self._specs[version["pipeline_version_id"]] = pipeline
        return version

    # Experiments

    def create_experiment(self, body: Any) -> dict[str, Any]:
        """Create an experiment."""
        message = messages.check(body, messages.EXPERIMENT)
        name, namespace = message.get("display_name", ""), message.get("namespace", "")
        if not name:
            raise invalid("Experiment name is empty. Please specify a valid experiment name")
        self._allow(namespace)
        if any(
            (e["display_name"], e["namespace"]) == (name, namespace)
            for e in self.experiments.values()
        ):
            raise Refusal("ALREADY_EXISTS", f"The name {name} already exists")
        experiment = {
            "experiment_id": _new_id(),
            "display_name": name,
            "description": message.get("description", ""),
            "namespace": namespace,
            "storage_state": "AVAILABLE",
            "created_at": self.now(),
            "last_run_created_at": _NEVER,
        }
        self.experiments[experiment["experiment_id"]] = experiment
        return experiment

    def get_experiment(self, experiment_id: str) -> dict[str, Any]:
        """Return an experiment."""
        return self._find(self.experiments, "Experiment", experiment_id)

    def list_experiments(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the experiments of a namespace."""
        namespace = query.get("namespace", "")
        self._allow(namespace)
        items = [e for e in self.experiments.values() if e["namespace"] == namespace]
        return _answer("experiments", page(items, query, fields=(*_NAMED, "experiment_id")))

    # Runs

    def create_run(self, body: Any) -> dict[str, Any]:
        """Create a run. The server starts another one when the same request comes again."""
        message = messages.check(body, messages.RUN)
        if not message.get("display_name"):
            raise invalid("The run name is empty. Please specify a valid name")
        experiment = self._experiment(message)
        pipeline, reference = self._source(message)
        return self._start(message, experiment, pipeline, reference)

    def _start(
        self,
        message: Mapping[str, Any],
        experiment: Mapping[str, Any],
        pipeline: specs.Pipeline,
        reference: Mapping[str, str] | None,
        recurring_run_id: str = "",
    ) -> dict[str, Any]:
        config = message.get("runtime_config", {})
        specs.check_parameters(pipeline, config.get("parameters", {}))
        specs.check_runnable(pipeline)
        run_id, now = _new_id(), self.now()
        run = {
            "run_id": run_id,
            "experiment_id": experiment["experiment_id"],
            "display_name": message["display_name"],
            "description": message.get("description", ""),
            "runtime_config": config,
            "service_account": message.get("service_account", "pipeline-runner"),
            "storage_state": "AVAILABLE",
            "state": "PENDING",
            "state_history": [{"update_time": now, "state": "PENDING"}],
            "created_at": now,
            "scheduled_at": now,
            "finished_at": _NEVER,
            **({"recurring_run_id": recurring_run_id} if recurring_run_id else {}),
        }
        if reference is None:
            run["pipeline_spec"] = pipeline.as_struct()
        else:
            run["pipeline_version_reference"] = dict(reference)
        self.runs[run_id] = run
        workflow = f"{pipeline.name}-{run_id[:5]}"
        self.playing[run_id] = Playing(workflow, pipeline.tasks(), self.play)
        return run

    def get_run(self, run_id: str, view: str = "") -> dict[str, Any]:
        """Return a run, which goes on with each look."""
        run = self._find(self.runs, "Run", run_id)
        playing = self.playing[run_id]
        if view != "FULL":  # which is asked for after the other
            playing.look()
        self._record_state(run, playing)
        if not self.has_tasks:
            details = playing.details(run_id, run["created_at"])
            return {**run, "run_details": {"task_details": details}} if details else run
        # (toApiRun in backend/src/apiserver/server/api_converter.go, branch mlmd-removal)
        tasks = playing.api_tasks(run_id, run["created_at"])
        counted = {**run, "run_details": {}, "task_count": len(tasks)}
        return {**counted, "tasks": tasks} if view == "FULL" else counted

    def _record_state(self, run: dict[str, Any], playing: Playing) -> None:
        if run["state"] == playing.state:
            return
        run["state"] = playing.state
        now = self.now()
        run["state_history"].append({"update_time": now, "state": playing.state})
        if playing.state in ("SUCCEEDED", "FAILED", "CANCELED"):
            run["finished_at"] = now

    def list_runs(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the runs of an experiment or a namespace."""
        items = self._listed(self.runs, query)
        states = ("state", "state_history", "storage_state")
        ids = ("run_id", "recurring_run_id", "experiment_id")
        fields = (*_NAMED, *states, *ids, "scheduled_at", "finished_at")
        return _answer("runs", page(items, query, fields=fields))

    def terminate_run(self, run_id: str) -> dict[str, Any]:
        """Begin to cancel a run."""
        run = self._find(self.runs, "Run", run_id)
        playing = self.playing[run_id]
        if not playing.terminate():
            raise invalid(f"Failed to terminate a run {run_id}. Row not found")
        self._record_state(run, playing)
        return {}

    def read_log(self, run_id: str, pod: str) -> str:
        """Return what a pod has printed."""
        self._find(self.runs, "Run", run_id)
        # For a single user it looks for the pod in the namespace "".
        text = self.playing[run_id].log(pod, from_pods=self.namespaces is not None)
        if text is None:
            raise Refusal("INTERNAL", f"Failed to read logs for run {run_id}")
        return text

    # Recurring runs

    def create_recurring_run(self, body: Any) -> dict[str, Any]:
        """Create a recurring run. Its name need not be unique."""
        message = messages.check(body, messages.RECURRING_RUN)
        if not message.get("display_name"):
            raise Refusal("INTERNAL", "Recurring run's name cannot be empty")
        if message.get("mode") not in ("ENABLE", "DISABLE"):
            raise invalid(f"mode of recurring run: {message.get('mode')}")
        concurrency = int(message.get("max_concurrency", 0))
        if not 1 <= concurrency <= 10:
            raise invalid(
                "Max concurrency of a recurring run must be at least 1 and at most 10. "
                f"Received {concurrency}"
            )
        _check_trigger(message.get("trigger", {}))
        experiment = self._experiment(message)
        pipeline, reference = self._source(message, latest=True)
        specs.check_parameters(pipeline, message.get("runtime_config", {}).get("parameters", {}))
        specs.check_runnable(pipeline)
        now = self.now()
        enabled = message["mode"] == "ENABLE"
        recurring_run = {
            **message,
            "recurring_run_id": _new_id(),
            "experiment_id": experiment["experiment_id"],
            "namespace": experiment["namespace"],
            "max_concurrency": str(concurrency),
            "description": message.get("description", ""),
            "status": "ENABLED" if enabled else "DISABLED",
            "created_at": now,
            "updated_at": now,
        }
        if reference is not None:
            recurring_run["pipeline_version_reference"] = dict(reference)
        self.recurring_runs[recurring_run["recurring_run_id"]] = recurring_run
        return recurring_run

    def get_recurring_run(self, recurring_run_id: str) -> dict[str, Any]:
        """Return a recurring run."""
        return self._find(self.recurring_runs, "Job", recurring_run_id)

    def list_recurring_runs(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the recurring runs of an experiment or a namespace."""
        items = self._listed(self.recurring_runs, query)
        fields = (*_NAMED, "updated_at", "recurring_run_id")
        return _answer("recurringRuns", page(items, query, fields=fields))

    def switch(self, recurring_run_id: str, *, on: bool) -> dict[str, Any]:
        """Enable or disable a recurring run."""
        recurring_run = self._find(self.recurring_runs, "Job", recurring_run_id)
        recurring_run["status"] = "ENABLED" if on else "DISABLED"
        recurring_run["mode"] = "ENABLE" if on else "DISABLE"
        recurring_run["updated_at"] = self.now()
        return {}

    def delete_recurring_run(self, recurring_run_id: str) -> dict[str, Any]:
        """Remove a recurring run, and with it the workflows of its runs that are in progress."""
        self._find(self.recurring_runs, "Job", recurring_run_id)
        del self.recurring_runs[recurring_run_id]
        for run in self.runs.values():
            playing = self.playing[run["run_id"]]
            if run.get("recurring_run_id") == recurring_run_id and playing.terminate():
                playing.look()
                self._record_state(run, playing)
        return {}

    def trigger(self, recurring_run_id: str) -> dict[str, Any] | None:
        """Start what a recurring run starts when its time has come; None if it is disabled."""
        recurring_run = self._find(self.recurring_runs, "Job", recurring_run_id)
        if recurring_run["status"] != "ENABLED":
            return None
        pipeline, reference = self._source(recurring_run, latest=True)
        experiment = self.experiments[recurring_run["experiment_id"]]
        named = {**recurring_run, "display_name": f"{recurring_run['display_name']} {self.now()}"}
        return self._start(named, experiment, pipeline, reference, recurring_run_id)

    # What they share

    def _source(
        self, message: Mapping[str, Any], *, latest: bool = False
    ) -> tuple[specs.Pipeline, Mapping[str, str] | None]:
        reference = message.get("pipeline_version_reference")
        spec = message.get("pipeline_spec")
        if (reference is None) == (spec is None):
            raise invalid("expected either a pipeline_spec or a pipeline_version_reference")
        if reference is None:
            return specs.read_struct(copy.deepcopy(spec or {})), None
        version_id = reference.get("pipeline_version_id", "")
        if not version_id and latest:
            own = self.list_versions(reference.get("pipeline_id", ""), {})["pipeline_versions"]
            return self._specs[own[-1]["pipeline_version_id"]], reference
        if version_id not in self.versions:
            raise Refusal("INTERNAL", "Internal Server Error")
        if self.versions[version_id]["pipeline_id"] != reference.get("pipeline_id"):
            raise invalid(f"version {version_id} is none of pipeline {reference['pipeline_id']}")
        return self._specs[version_id], reference

    def _experiment(self, message: Mapping[str, Any]) -> dict[str, Any]:
        experiment_id = message.get("experiment_id", "")
        if experiment_id:
            experiment = self.get_experiment(experiment_id)
            self._allow(experiment["namespace"])
            return experiment
        if self.namespaces is not None:
            raise invalid("Experiment id can not be empty in multi-user mode")
        default = [e for e in self.experiments.values() if e["display_name"] == "Default"]
        return default[0] if default else self.create_experiment({"display_name": "Default"})

    def _listed(
        self, items: Mapping[str, dict[str, Any]], query: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        if query.get("experiment_id"):
            experiments = [self.get_experiment(query["experiment_id"])]
            self._allow(experiments[0]["namespace"])
        else:
            namespace = query.get("namespace", "")
            self._allow(namespace)
            experiments = [e for e in self.experiments.values() if e["namespace"] == namespace]
        ids = {e["experiment_id"] for e in experiments}
        return [item for item in items.values() if item["experiment_id"] in ids]

    def _allow(self, namespace: str) -> None:
        if self.namespaces is None:
            return
        if not namespace:
            raise invalid("A namespace cannot be empty in multi-user mode")
        if namespace not in self.namespaces:
            raise Refusal("PERMISSION_DENIED", f"User is not authorized in namespace {namespace}")

    def _find(
        self, items: Mapping[str, dict[str, Any]], kind: str, identifier: str
    ) -> dict[str, Any]:
        if identifier not in items:
            raise missing(kind, identifier)
        return items[identifier]


def _check_trigger(trigger: Mapping[str, Any]) -> None:
    if len(trigger) != 1:
        raise invalid("expected a trigger with either a cron_schedule or a periodic_schedule")
    [(kind, schedule)] = trigger.items()
    for name in ("start_time", "end_time"):
        if name in schedule:
            _check_time(name, schedule[name])
    if kind == "periodic_schedule":
        if int(schedule.get("interval_second", 0)) < 1:
            raise invalid(
                "Found invalid period schedule interval. Set at interval to least 1 second"
            )
        return
    if reason := timing.refusal(schedule.get("cron", "")):
        raise invalid(f"Schedule cron is not a supported format. Error: {reason}")


def _check_time(name: str, text: str) -> None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise invalid(f"(line 1:2): invalid google.protobuf.Timestamp value {text!r} of {name}")


def _check_length(field_name: str, name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise invalid(f"{field_name} length cannot exceed {_LONGEST_NAME}")


def _answer(name: str, listing: tuple[list[Any], int, str]) -> dict[str, Any]:
    """Return a list as an answer has it: what is empty is left out."""
    items, total, token = listing
    answer: dict[str, Any] = {"total_size": total} if total else {}
    if items:
        answer[name] = items
    if token:
        answer["next_page_token"] = token
    return answer


def _new_id() -> str:
    return str(uuid.uuid4())
