"""What people ask of releases: to begin one, to let it stay, go on or end, to go back."""

from __future__ import annotations

from dataclasses import replace

from penstock import registry
from penstock.errors import ConfigError, RegistryError, RunError, suggestion
from penstock.metadata.journal import DONE, TakenError
from penstock.metadata.protocol import Store
from penstock.operations.releases import records
from penstock.operations.releases.records import (
    ABORT,
    FIRST,
    PAUSE,
    PROMOTE,
    RELEASE,
    RESUME,
    ROLLBACK,
    Release,
)
from penstock.operations.releases.stages import Plan
from penstock.operations.releases.targets.protocol import Target
from penstock.project.config import Config
from penstock.project.deployments import Deployment
from penstock.project.environments import Environment


def deployment_of(config: Config, name: str, environment: str = "") -> Deployment:
    """Return where a model serves: the deployment of a name, or of a model of that name.

    Raises:
      ConfigError: there is none, or there are several.
    """
    path = str(config.path) if config.path else None
    found = [
        one
        for one in config.deployments.values()
        if name in (one.name, one.model) and environment in ("", one.environment)
    ]
    exact = [one for one in found if one.name == name]
    if len(found) > 1 and len(exact) == 1 and not environment:
        found = exact
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(f"{one.name} ({one.environment or 'no environment'})" for one in found)
        raise ConfigError(
            f"{name} serves in several places: {places}",
            path=path,
            hint="Say which: --env ENVIRONMENT, or the deployment's name.",
        )
    where = f" in {environment}" if environment else ""
    names = {one.name for one in config.deployments.values()}
    raise ConfigError(
        f"nothing says where {name} serves{where}",
        path=path,
        hint=suggestion(name, names, noun="deployment")
        if names
        else f"Write a table [deployments.{name}].",
    )


def environment_of(config: Config, deployment: Deployment) -> Environment:
    """Return the environment of a deployment; the default one where it names none."""
    if not deployment.environment:
        return Environment()
    return config.environments[deployment.environment]


def start(
    store: Store,
    deployment: Deployment,
    environment: Environment,
    target: Target,
    reference: str | int,
    plan: Plan,
    *,
    who: str,
    why: str,
) -> Release:
    """Begin a release of a version: a number, or an alias. Nothing is done of it yet.

    Where nothing serves yet there is nothing to be compared with: the version is the first, and
    serves at once. It is the one that the alias of the environment stands for, if that does.

    Raises:
      RegistryError: there is no such version, or it may not be served.
      RunError: another release is under way, or the target cannot do it.
      AwayError: the target does not answer.
    """
    last = records.last_release(store, deployment.name)
    _refuse_two(last)
    model = registry.read_model(store, deployment.model)
    version = registry.check(store, model.version(reference))
    if environment.blessing and version.is_blessed is not True:
        reason = "its Evaluator did not bless it" if version.is_blessed is False else "no blessing"
        raise RegistryError(
            f"{version.name} is not released: {reason}",
            hint="An environment with blessing = false asks for none.",
        )
    production = model.aliases.get(environment.alias)
    routes = target.describe().routes
    if routes is None:
        if production not in (None, version.number):
            raise RunError(
                f"nothing serves at {deployment.name} yet",
                hint=f"Begin with what {environment.alias} stands for: penstock release start "
                f"{deployment.model}@{environment.alias}.",
            )
        kind, plan, production = FIRST, replace(plan, stages=()), None
    else:
        kind = RELEASE
        _check_what_serves(deployment, environment, production, routes.production)
        _check_stages(deployment, target, plan)
        if production == version.number:
            raise RunError(f"{version.name} is {environment.alias} already, and serves")
    return _begin(
        store,
        deployment,
        environment,
        last,
        kind=kind,
        candidate=version.number,
        production=production,
        plan=plan,
        who=who,
        why=why,
    )


def _check_what_serves(
    deployment: Deployment, environment: Environment, production: int | None, serves: int
) -> None:
    if production == serves:
        return
    stands = f"version {production}" if production is not None else "nothing"
    raise RunError(
        f"{environment.alias} of {deployment.model} stands for {stands}, and version {serves} "
        "serves",
        hint="Have the server follow the alias, or move the alias to what serves: penstock model "
        f"alias {deployment.model}@NUMBER {environment.alias}.",
    )


def _check_stages(deployment: Deployment, target: Target, plan: Plan) -> None:
    if not plan.stages:
        raise RunError(
            "the release has no stages: the version would serve everybody at once",
            hint="Give --shadow 100% --for 1h, --canary 5,25,50 --bake 30m, or both.",
        )
    for stage in plan.stages:
        if stage.role not in target.roles:
            raise RunError(
                f"{deployment.target} knows no {stage.role}",
                hint="Leave that stage out, or release over penstock serve.",
            )


def roll_back(
    store: Store, deployment: Deployment, environment: Environment, *, who: str, why: str
) -> Release:
    """Begin to bring back what served before; of a release under way that is to end it.

    Raises:
      RegistryError: no version served before, or that one may not be served any more.
      RunError: the release under way has come too far to be ended.
    """
    last = records.last_release(store, deployment.name)
    if last is not None and not last.is_over and last.kind != ROLLBACK and _can_be_ended(last):
        return ask(store, deployment, ABORT, who=who, why=why or "rolled back")
    _refuse_two(last)
    model = registry.read_model(store, deployment.model)
    now = model.version(environment.alias).number
    earlier = model.earlier(environment.alias)
    if not earlier:
        raise RegistryError(
            f"alias {environment.alias} of model {deployment.model} stood for no version before "
            f"{now}"
        )
    registry.check(store, model.version(earlier[0]))
    return _begin(
        store,
        deployment,
        environment,
        last,
        kind=ROLLBACK,
        candidate=earlier[0],
        production=now,
        plan=Plan(),
        who=who,
        why=why,
    )


def ask(store: Store, deployment: Deployment, kind: str, *, who: str, why: str) -> Release:
    """Record that somebody wants a release to stay, to go on, to be promoted, or to end.

    Whoever carries it out does so at the next look.

    Raises:
      RunError: no release is under way that this can be asked of.
    """
    while True:
        release = records.last_release(store, deployment.name)
        if release is None or release.is_over:
            raise RunError(
                f"no release of {deployment.name} is under way",
                hint=f"penstock release history {deployment.name} shows what there was.",
            )
        _check_request(release, kind)
        try:
            return records.add(store, release, kind, {}, who=who, why=why, state=DONE)
        except TakenError:
            continue


def _check_request(release: Release, kind: str) -> None:
    if not _can_be_ended(release):
        end = release.ending.state if release.ending is not None else "over"
        raise RunError(f"release {release.number} of {release.deployment} is about to be {end}")
    if kind == PAUSE and release.is_paused:
        raise RunError(f"release {release.number} of {release.deployment} is paused already")
    if kind == RESUME and not release.is_paused:
        raise RunError(f"release {release.number} of {release.deployment} is not paused")
    if kind == PROMOTE and release.kind == RELEASE and release.stage is None:
        raise RunError(
            f"release {release.number} of {release.deployment} is in no stage yet",
            hint="Nobody has asked the new version anything: wait for its first stage.",
        )


def _can_be_ended(release: Release) -> bool:
    return release.ending is None


def _begin(
    store: Store,
    deployment: Deployment,
    environment: Environment,
    last: Release | None,
    *,
    kind: str,
    candidate: int,
    production: int | None,
    plan: Plan,
    who: str,
    why: str,
) -> Release:
    try:
        return records.begin(
            store,
            deployment.name,
            kind=kind,
            model=deployment.model,
            candidate=candidate,
            production=production,
            alias=environment.alias,
            target=deployment.target,
            plan=plan,
            after=last,
            who=who,
            why=why,
        )
    except TakenError as error:
        raise RunError(
            f"{error.entry.who} has begun release {error.entry.number} of {deployment.name} just "
            "now"
        ) from None


def _refuse_two(last: Release | None) -> None:
    if last is not None and not last.is_over:
        raise RunError(
            f"release {last.number} of {last.deployment} is under way: {last.model}@"
            f"{last.candidate}, {last.status}",
            hint=f"penstock release watch {last.deployment} goes on with it, penstock release "
            f"abort {last.deployment} ends it.",
        )
