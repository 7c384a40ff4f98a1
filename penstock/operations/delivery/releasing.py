"""What a deployment brings to Kubeflow: an image, a version of the pipeline, its schedule."""

from __future__ import annotations

from collections.abc import Callable

from penstock.operations.delivery.records import Deployment
from penstock.project import cron
from penstock.project.config import Config
from penstock.project.environments import Environment, ScheduleOptions
from penstock.project.intervals import parse_interval
from penstock.project.tables import read_table

Tell = Callable[[str], None]


def build_image(config: Config, environment: Environment, tell: Tell) -> str:
    """Build and push the project's image, unless one of the same content is there; return it.

    Raises:
      ImageError: it cannot be built or pushed.
    """
    from penstock.runners.kubeflow.image import building
    from penstock.runners.kubeflow.image.engine import find_engine

    options = config.profile(environment.profile or None).kubeflow
    request = building.ImageRequest(
        project=config.folder,
        repository=environment.image,
        project_folder=options.project_folder if options else "/app",
        extras=(*building.FULL, *building.EXTRAS),
    )
    built = building.build_image(find_engine(None), request, tell=tell, push=True)
    return built.digest_reference or built.reference


def upload(config: Config, environment: Environment, pipeline: str, image: str) -> dict[str, str]:
    """Upload the pipeline as a version, unless it is there; return how it is named, {} locally.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """
    from penstock.operations.starting.kubeflow import options_of
    from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
    from penstock.runners.kubeflow.contract import documents
    from penstock.runners.kubeflow.server import connecting, versions

    profile = config.profile(environment.profile or None)
    if profile.kubeflow is None:
        return {}
    profile = profile.with_image(image)
    compiled = compile_for_kubeflow(config.load_pipeline(pipeline), profile, config.folder)
    service = connecting.connect_to(options_of(profile))
    version = versions.upload(service, documents.read(compiled.to_yaml()))
    return {
        "pipeline_id": version.pipeline_id,
        "version_id": version.version_id,
        "name": version.name,
    }


def schedule(config: Config, environment: Environment, deployment: Deployment) -> None:
    """Let the server run a deployment's version by its schedule, in place of the one before.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """
    from penstock.operations.starting.kubeflow import DEFAULT_EXPERIMENT, options_of
    from penstock.runners.kubeflow.server import connecting, schedules, versions

    profile = config.profile(environment.profile or None)
    options = options_of(profile)
    service = connecting.connect_to(options)
    wanted = read_table(ScheduleOptions, dict(deployment.schedule))
    version = versions.Version(
        deployment.pipeline_version["pipeline_id"],
        deployment.pipeline_version["version_id"],
        deployment.pipeline_version["name"],
    )
    timing = schedules.Timing(
        cron=cron.parse(wanted.cron).text if wanted.cron else "",
        seconds=parse_interval(wanted.every) if wanted.every else 0,
    )
    schedules.apply(
        service,
        schedules.Schedule(
            name=_schedule_name(environment, deployment.pipeline),
            version=version,
            timing=timing,
            parameters=dict(wanted.parameters),
            experiment_id=versions.experiment_id(service, options.experiment or DEFAULT_EXPERIMENT),
            catch_up=wanted.catch_up,
            concurrency=wanted.concurrency,
            service_account=options.service_account,
            pipeline_root=profile.cluster_root,
        ),
    )


def unschedule(config: Config, environment: Environment, pipeline: str) -> None:
    """Let the server run a pipeline by no schedule of this environment any more.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """
    from penstock.operations.starting.kubeflow import options_of
    from penstock.runners.kubeflow.server import connecting, schedules

    service = connecting.connect_to(options_of(config.profile(environment.profile or None)))
    name = _schedule_name(environment, pipeline)
    if schedules.find(service, name):
        schedules.delete(service, name)


def _schedule_name(environment: Environment, pipeline: str) -> str:
    """Return the name of a schedule, of which two environments on one server have one each."""
    return f"{pipeline}-{environment.name}"
