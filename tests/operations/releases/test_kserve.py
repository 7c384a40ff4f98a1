"""InferenceServices get revisions and shares, and callers never a revision that nobody wants."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from penstock.operations.releases import records
from penstock.operations.releases.stages import plan_of
from penstock.operations.releases.targets.kserve import InferenceServices
from penstock.operations.releases.targets.protocol import (
    FAILED,
    LOADING,
    READY,
    AwayError,
    TargetError,
)
from penstock.serving.routes import Routes, Servable, Share
from penstock.testing.kubernetes import KubernetesServer
from penstock_support import releases as project

ONE, TWO = (Servable(n, f"s3://models/flights/{n}") for n in (1, 2))


@pytest.fixture
def cluster():
    with KubernetesServer(token="secret") as server:
        yield server


@pytest.fixture
def services(cluster) -> InferenceServices:
    """A service that serves its first version."""
    target = connected(cluster)
    assert target.prepare(ONE) == LOADING
    assert target.prepare(ONE) == READY
    target.shift(Routes(1, token="first"))
    return target


def connected(cluster: KubernetesServer, token: str = "secret") -> InferenceServices:
    return InferenceServices.connect("flights", "models", "sklearn", url=cluster.url, token=token)


def serving(cluster: KubernetesServer) -> dict[str, int]:
    shares = cluster.serving("models", "flights")
    return {storage.rpartition("/")[2]: percent for storage, percent in shares.items()}


def canary(percent: float, token: str = "canary") -> Routes:
    return Routes(1, canary=Share(2, percent), token=token)


def test_the_first_version_is_created_and_serves_everybody(cluster, services):
    assert serving(cluster) == {"1": 100}
    assert services.describe().routes == Routes(1, token="first")


def test_a_version_that_is_prepared_answers_nobody(cluster, services):
    assert services.prepare(TWO) == READY
    assert serving(cluster) == {"1": 100}


def test_a_canary_gets_its_share_and_then_everybody(cluster, services):
    services.prepare(TWO)
    services.shift(canary(25))
    assert serving(cluster) == {"1": 75, "2": 25}
    services.shift(Routes(2, token="all"))
    assert serving(cluster) == {"2": 100}
    services.remove(1)
    assert services.describe().routes == Routes(2, token="all")


def test_a_canary_that_is_taken_back_gets_nobody_at_any_moment(cluster, services):
    services.prepare(TWO)
    services.shift(canary(25))
    services.shift(Routes(1, token="back"))
    assert serving(cluster) == {"1": 100}
    cluster.slow.add(ONE.path)
    services.remove(2)
    assert serving(cluster) == {"1": 100}
    cluster.slow.clear()
    cluster.settle()
    assert serving(cluster) == {"1": 100}
    assert services.describe().routes == Routes(1, token="back")


def test_after_a_canary_was_taken_back_the_next_one_gets_its_share(cluster, services):
    services.prepare(TWO)
    services.shift(canary(25))
    services.shift(Routes(1, token="back"))
    services.remove(2)
    three = Servable(3, "s3://models/flights/3")
    assert services.prepare(three) == READY
    services.shift(Routes(1, canary=Share(3, 10), token="again"))
    assert serving(cluster) == {"1": 90, "3": 10}


def test_what_served_before_is_brought_back_after_it_was_replaced(cluster, services):
    services.prepare(TWO)
    services.shift(Routes(2, token="all"))
    services.prepare(ONE)
    assert serving(cluster) == {"2": 100}
    services.shift(Routes(1, token="back"))
    assert serving(cluster) == {"1": 100}


def test_a_version_that_does_not_load_is_told_with_its_reason(cluster, services):
    cluster.broken.add(TWO.path)
    assert services.prepare(TWO) == FAILED
    assert services.describe().reasons[2] == "ModelLoadFailed: the model does not load"
    assert serving(cluster) == {"1": 100}


def test_a_version_that_is_not_ready_yet_is_loading(cluster, services):
    cluster.slow.add(TWO.path)
    assert services.prepare(TWO) == LOADING
    cluster.slow.clear()
    cluster.settle()
    assert services.prepare(TWO) == READY


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_share_whose_answer_was_lost_is_given_by_asking_again(cluster, services, lost, at):
    services.prepare(TWO)
    for routes, shares in (
        (canary(25), {"1": 75, "2": 25}),
        (Routes(2, token="all"), {"2": 100}),
    ):
        cluster.lose = [""] * at + [lost]
        with pytest.raises(AwayError, match="does not answer"):
            services.shift(routes)
        cluster.lose = []
        services.shift(routes)
        assert serving(cluster) == shares
        assert services.describe().routes == routes


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_version_whose_answer_was_lost_is_prepared_by_asking_again(cluster, services, lost, at):
    cluster.lose = [""] * at + [lost]
    with pytest.raises(AwayError):
        services.prepare(TWO)
    cluster.lose = []
    assert services.prepare(TWO) == READY
    assert serving(cluster) == {"1": 100}


def test_who_changes_the_service_meanwhile_is_not_overwritten_unseen(cluster, services):
    services.prepare(TWO)
    services.shift(canary(25))
    service = cluster.objects["InferenceService", "models", "flights"]
    service["spec"]["predictor"]["canaryTrafficPercent"] = 90
    assert services.describe().routes.token == ""


def test_a_local_folder_cannot_be_served(services):
    with pytest.raises(TargetError, match="KServe cannot read /models/2"):
        services.prepare(Servable(2, "/models/2"))


def test_a_share_that_is_no_whole_percent_is_refused(services):
    services.prepare(TWO)
    with pytest.raises(TargetError, match="KServe takes whole percents, not 2.5"):
        services.shift(canary(2.5))


def test_a_wrong_token_is_told(cluster):
    with pytest.raises(TargetError, match="Kubernetes refuses it with status 401: Unauthorized"):
        connected(cluster, "wrong").describe()


def test_a_service_of_somebody_else_is_left(cluster, services):
    del cluster.objects["ConfigMap", "models", "flights-penstock"]
    with pytest.raises(TargetError, match="flights was not made by a release"):
        services.prepare(TWO)


def test_the_fake_refuses_fields_and_values_that_the_definition_does_not_have(cluster, services):
    path = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/flights"
    patch = {"Content-Type": "application/merge-patch+json"}
    for spec, status, said in (
        ({"canaryTraffic": 5}, 400, 'unknown field "spec.predictor.canaryTraffic"'),
        ({"canaryTrafficPercent": 101}, 422, "should be 0 to 100"),
        ({"model": {"modelFormat": None}}, 422, "spec.predictor.model.modelFormat: Required value"),
    ):
        content = {"spec": {"predictor": spec}}
        found, answer = services.api.ask("PATCH", f"{path}?fieldValidation=Strict", content, patch)
        assert (found, said in answer["message"]) == (status, True), answer


@dataclass(frozen=True)
class Uploaded:
    """A service whose models are in an object store, wherever the registry has them."""

    services: InferenceServices

    def __getattr__(self, name: str) -> Any:
        return getattr(self.services, name)

    def prepare(self, servable: Servable) -> str:
        return self.services.prepare(replace(servable, path=f"s3://models/{servable.version}"))


@pytest.mark.parametrize(
    ("errors", "state", "shares"),
    [(0, records.PROMOTED, {"2": 100}), (4000, records.ROLLED_BACK, {"1": 100})],
    ids=["good", "bad"],
)
def test_a_release_over_a_service_ends_with_who_should_serve(
    tmp_path, cluster, errors, state, shares
):
    project.write(tmp_path, 'evidence = { command = ["cat", "seen.json"] }')
    told = project.evidence(project.answers(errors=errors)).to_json()
    told.pop("token")
    (tmp_path / "seen.json").write_text(json.dumps(told))
    target = Uploaded(connected(cluster))
    project.start(tmp_path, reference="champion", target=target)
    assert project.brought_to_its_end(tmp_path, target=target).state == records.PROMOTED
    plan = plan_of(0, 0, (5, 50), 300, key="", give_up_seconds=3600)
    project.start(tmp_path, plan, target=target)
    release = project.brought_to_its_end(tmp_path, target=target)
    assert (release.state, serving(cluster)) == (state, shares)
    if state == records.PROMOTED:
        project.roll_back(tmp_path)
        project.brought_to_its_end(tmp_path, target=target)
        assert serving(cluster) == {"1": 100}
        assert project.aliases(tmp_path)["champion"] == 1
