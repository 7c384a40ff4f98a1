"""What pods are given that their work needs: variables, and access to artifacts of earlier runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from penstock import ir
from penstock.project.pods import PodOptions
from penstock.project.profiles import Profile
from penstock.safety import secrets

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_OTHER_WAYS = ("AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE")
# What Kubeflow Pipelines bring into each namespace, from 2.5 to 2.17 (minioArtifactSecretName in
# backend/src/v2/config/env.go).
STOCK_KEYS = (
    'secrets = [{ secret = "mlpipeline-minio-artifact", key = "accesskey", '
    'env = "AWS_ACCESS_KEY_ID" }, { secret = "mlpipeline-minio-artifact", key = "secretkey", '
    'env = "AWS_SECRET_ACCESS_KEY" }]'
)


def variables(pod: PodOptions) -> set[str]:
    """Return the environment variables that a pod is given."""
    of_secrets = {secret.env for secret in pod.secrets}
    return {*pod.env, *of_secrets, *(given.env for given in pod.config_maps)} - {""}


def missing_variables(pod: PodOptions, texts: Iterable[str]) -> list[str]:
    """Return the variables that texts refer to and that a pod is not given."""
    return sorted({name for text in texts for name in secrets.names(text)} - variables(pod))


def may_read_artifacts(profile: Profile, pod: PodOptions) -> bool:
    """Whether a pod can read artifacts of earlier runs by itself, as far as a profile tells.

    The store that Kubeflow brings asks for keys, whatever the service account is: it is where the
    root is at minio://, or the profile has none. Stores of a cloud may know who a pod is.
    """
    root = profile.cluster_root
    if root and not root.startswith("minio://"):
        return True
    provided = variables(pod)
    return provided.issuperset(_KEYS) or not provided.isdisjoint(_OTHER_WAYS)


def reads_earlier_artifacts(pipeline: ir.Pipeline, node: ir.Node) -> bool:
    """Whether a node looks, outside of its own run, at what earlier ones have made.

    A resolver does and who takes from it, and so does a node that Kubeflow's own cache never
    stands in for, because its driver looks outside: it asks ours.
    """
    resolvers = {other.id for other in pipeline if other.works_in_store and not other.is_importer}
    asks_our_cache = node.driver is not None and node.is_cached
    return asks_our_cache or node.id in resolvers or not resolvers.isdisjoint(node.producers)


def told_blind(
    profile: Profile, pipeline: ir.Pipeline, pod_of: Callable[[str], PodOptions]
) -> Iterator[str]:
    """Yield what to say of nodes whose pods cannot read what they look at; one text, or none."""
    blind = [
        node.id
        for node in pipeline
        if reads_earlier_artifacts(pipeline, node)
        and not may_read_artifacts(profile, pod_of(node.id))
    ]
    if blind:
        yield (
            f"{', '.join(blind)} read artifacts of earlier runs, and their pods are given no keys "
            "of the object store: what a resolver finds cannot be read, and nothing comes from "
            f"Penstock's cache. Add to the profile: {STOCK_KEYS}; or its pipeline_root, if that is "
            "in the store of a cloud that knows the pods' service account"
        )
