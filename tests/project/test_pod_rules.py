"""What Kubernetes would refuse of a pod is told where it is written."""

from __future__ import annotations

import pytest

from penstock.errors import ParameterError
from penstock.pods import ConfigMap, EmptyDir, NodeAffinity, PodOptions, Secret, Toleration, Volume
from penstock.project.kubernetes import amount

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Toleration("spot", "Exists", "yes"), "has the operator Exists and the value"),
        (lambda: Toleration(value="yes"), "of 'all taints' has no key"),
        (lambda: Toleration("spot", seconds=5, effect="NoSchedule"), "Seconds are for the effect"),
        (lambda: Toleration("spot", seconds=5), "Seconds are for the effect"),
        (lambda: Toleration("a b"), "takes no key 'a b'"),
        (lambda: Volume("raw.data", "/data"), "the claim 'raw.data' cannot be mounted"),
        (lambda: Secret("tls.example.com", path="/tls"), "the secret 'tls.example.com' cannot be"),
        (lambda: ConfigMap("a.b", path="/x"), "the config map 'a.b' cannot be mounted"),
        (lambda: Secret("s", "key", "1X"), "no environment variable '1X'"),
        (lambda: PodOptions(env={"A=B": "x"}), "no environment variable 'A=B'"),
        (lambda: PodOptions(labels={"a": "x" * 64}), "the label a: Kubernetes takes no value"),
        (lambda: PodOptions(labels={"/a": "x"}), "labels: Kubernetes takes no key '/a'"),
        (lambda: PodOptions(annotations={"a/b/c": "x"}), "annotations: Kubernetes takes no key"),
        (lambda: PodOptions(node_selector={"pool": "-"}), "node_selector pool: Kubernetes takes"),
        (lambda: PodOptions(node_selector={"": "x"}), "node_selector: Kubernetes takes no key ''"),
        (lambda: PodOptions(cpu="500m", cpu_request="1"), "cpu_request is 1, which is more than"),
        (lambda: PodOptions(memory="1G", memory_request="1Gi"), "memory_request is 1Gi, which is"),
        (lambda: PodOptions(shared_memory="1Gi", volumes=(Volume("a", "/dev/shm"),)), "both mo"),
        (lambda: PodOptions(shared_memory="much"), "shared_memory should be a Kubernetes quantity"),
        (lambda: PodOptions(memory="1Gi", shared_memory="2Gi"), "shared_memory is 2Gi, which is"),
        (lambda: EmptyDir("scratch"), "path should be absolute, got 'scratch'"),
        (lambda: EmptyDir("/scratch", "much"), "size should be a Kubernetes quantity, got 'much'"),
        (lambda: PodOptions(empty_dirs=(EmptyDir("/a"), EmptyDir("/a/"))), "both mounted at /a/"),
        (lambda: NodeAffinity("a b", "Exists"), "the affinity: Kubernetes takes no key 'a b'"),
        (lambda: NodeAffinity("zone"), "has the operator In and 0 values. It takes one or more."),
        (lambda: NodeAffinity("zone", "Exists", ("a",)), "Exists and 1 values. It takes none."),
        (lambda: NodeAffinity("cpus", "Gt", ("many",)), "with 'many', which is no whole number"),
        (lambda: NodeAffinity("zone", "Near", ("a",)), "operator 'Near' is not known"),
        (lambda: NodeAffinity("zone", "In", ("a",), 101), "has the weight 101. It is from 1"),
        (lambda: PodOptions(env={"A": '{"a":{{b'}), "env: Argo takes what follows {{ for a"),
        (lambda: PodOptions(annotations={"a": "{{workflow.name}}"}), "annotations: Argo takes"),
        (lambda: PodOptions(volumes=(Volume("raw", "/{{x}}"),)), "volumes: Argo takes what"),
    ],
)  # fmt: skip
def test_what_kubernetes_refuses_is_refused_where_it_is_written(make, said):
    with pytest.raises(ParameterError) as told:
        make()
    assert said in str(told.value)


FILES = Secret("store", path="/etc/store")


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        (
            {"volumes": (Volume("data", "/x"), Volume("more", "/x/"))},
            "the claim 'data' and the claim 'more' are both mounted at /x/",
        ),
        (
            {"secrets": (FILES,), "config_maps": (ConfigMap("store", path="/etc/other"),)},
            "the secret 'store' and the config map 'store' would be one volume",
        ),
        (
            {"secrets": (FILES, Secret("store", path="/etc/other", optional=True))},
            "the secret 'store' and the optional secret 'store' would be one volume",
        ),
    ],
)
def test_mounts_that_get_in_each_other_s_way_are_refused(mounts, said):
    with pytest.raises(ParameterError) as told:
        PodOptions(**mounts)
    assert said in str(told.value)


def test_mounts_of_profile_and_pipeline_are_looked_at_together():
    ours, theirs = (
        PodOptions(volumes=(Volume("a", "/x"),)),
        PodOptions(volumes=(Volume("b", "/x"),)),
    )
    with pytest.raises(ParameterError, match="are both mounted at /x"):
        ours.overridden_by(theirs)


def test_what_kubernetes_takes_is_taken():
    PodOptions(
        secrets=(FILES, Secret("store", path="/etc/other"), Secret("a.b", "key", "A_B")),
        tolerations=(
            Toleration(operator="Exists"),
            Toleration("spot", "Exists", "", "NoExecute", 60),
            Toleration("example.com/pool", value="gpu"),
        ),
        labels={"example.com/team": "", "a": "b.c_d-e"},
        env={"_A.b-c": "x=y"},
        cpu="1",
        cpu_request="500m",
    )


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("500m", 0.5), ("2", 2), ("4Gi", 4 * 2**30), ("1e3", 1000), ("1E", 1e18), ("1.5k", 1500)],
)
def test_a_quantity_is_a_number(quantity, number):
    assert amount(quantity) == number


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "-1", "1KB", "1e"])
def test_what_is_no_quantity_is_none(text):
    assert amount(text) is None
