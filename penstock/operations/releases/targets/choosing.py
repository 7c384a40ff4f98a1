"""The target that a deployment names."""

from __future__ import annotations

from penstock.errors import ConfigError, ParameterError
from penstock.operations.releases.targets.filesystem import ServingFolder
from penstock.operations.releases.targets.kserve import InferenceServices
from penstock.operations.releases.targets.local import LocalServer
from penstock.operations.releases.targets.protocol import Target
from penstock.project.deployments import Deployment
from penstock.safety import secrets


def target_of(deployment: Deployment) -> Target:
    """Return where a deployment's model serves; secrets are read now.

    Raises:
      ConfigError: a secret is not there, or the target cannot be reached from here.
    """
    if deployment.target == "filesystem":
        filesystem = deployment.filesystem
        return ServingFolder(
            filesystem.name or deployment.model,
            filesystem.folder,
            filesystem.config,
            filesystem.base_path,
            filesystem.url,
        )
    if deployment.target == "kserve":
        kserve = deployment.kserve
        return InferenceServices.connect(
            kserve.service or deployment.model,
            kserve.namespace,
            kserve.model_format,
            kserve.runtime,
            url=_resolved(kserve.url),
            token=_resolved(kserve.token),
            certificate_authority=kserve.certificate_authority,
        )
    local = deployment.local
    return LocalServer(
        local.name or deployment.model, local.state, _resolved(local.url), _resolved(local.token)
    )


def _resolved(text: str) -> str:
    try:
        return secrets.resolve(text) if text else ""
    except ParameterError as error:
        raise ConfigError(error.message, hint=error.hint) from None
