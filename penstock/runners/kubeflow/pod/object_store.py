"""Where minio:// is, which only Kubeflow's launcher is told.

The launcher reads it from the ConfigMap `kfp-launcher` of its namespace, and has an address of its
own where that says nothing: `seaweedfs.kubeflow:9000` since 2.16, `minio-service` before. A pod
has the launcher's service account, so that it can read the same; else it takes the service that
there is. (backend/src/v2/config/env.go, minio.go and s3.go of kubeflow/pipelines 2.17.0,
backend/src/v2/objectstore/config.go of 2.5.0)
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.data.files import remote

_CONFIG_MAP = "kfp-launcher"
_SCHEME = "minio://"
_SECONDS = 5.0
# Kubernetes tells a pod of the services of its own namespace by variables.
_SERVICES = (("SEAWEEDFS", "seaweedfs"), ("MINIO_SERVICE", "minio-service"))
_PORT = 9000


@dataclass(frozen=True)
class ServiceAccount:
    """What a pod is given to ask the API of its cluster with: a folder, and the API's address."""

    folder: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    api: str = "https://kubernetes.default.svc"

    def config_map(self, name: str) -> Mapping[str, str] | None:
        """Return what a ConfigMap of the pod's namespace has, None if it cannot be read."""
        try:
            namespace = (self.folder / "namespace").read_text().strip()
            token = (self.folder / "token").read_text().strip()
            request = urllib.request.Request(
                f"{self.api}/api/v1/namespaces/{namespace}/configmaps/{name}",
                headers={"Authorization": f"Bearer {token}"},
            )
            is_tls = self.api.startswith("https://")
            trust = ssl.create_default_context(cafile=self.folder / "ca.crt") if is_tls else None
            with urllib.request.urlopen(request, timeout=_SECONDS, context=trust) as answer:
                return dict(json.load(answer).get("data") or {})
        except (OSError, ValueError, AttributeError):
            return None


def resolves(host: str) -> bool:
    """Whether a name is one of the cluster's services."""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def find_minio(
    addresses: Iterable[str],
    environment: Mapping[str, str] = os.environ,
    account: ServiceAccount | None = None,
    is_there: Callable[[str], bool] = resolves,
) -> str:
    """Return the endpoint of the object store of a pod's artifacts; "" if nobody has to look.

    It needs none whose artifacts are at no minio:// address, or whose environment has one.
    """
    at_minio = [address for address in addresses if address.startswith(_SCHEME)]
    if not at_minio or any(environment.get(name) for name in remote.MINIO_VARIABLES):
        return ""
    settings = (account or ServiceAccount()).config_map(_CONFIG_MAP) or {}
    return _configured(settings, at_minio[0]) or _service(environment, is_there)


def _configured(settings: Mapping[str, str], address: str) -> str:
    """Return the endpoint that the launcher's configuration has for an address, "" for none."""
    import yaml

    try:
        providers = yaml.safe_load(settings.get("providers", "")) or {}
        provider = _lower(providers).get("minio") or {}
        bucket, _, prefix = address.removeprefix(_SCHEME).partition("/")
        chosen = dict(provider.get("default") or {})
        for override in provider.get("overrides") or ():
            matches = override.get("bucketname") == bucket
            if matches and prefix.startswith(override.get("keyprefix") or ""):
                chosen |= {name: value for name, value in override.items() if value is not None}
                break
        endpoint = str(chosen.get("endpoint") or "")
    except (yaml.YAMLError, AttributeError, TypeError):
        return ""
    if not endpoint or "://" in endpoint:
        return endpoint
    return f"{'http' if chosen.get('disablessl') else 'https'}://{endpoint}"


def _lower(value: Any) -> Any:
    """Return settings with keys in lower case: the launcher does not tell the cases apart."""
    if isinstance(value, dict):
        return {str(key).lower(): _lower(item) for key, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value


def _service(environment: Mapping[str, str], is_there: Callable[[str], bool]) -> str:
    for variable, _ in _SERVICES:
        if host := environment.get(f"{variable}_SERVICE_HOST"):
            return f"http://{f'[{host}]' if ':' in host else host}:{_PORT}"
    hosts = [f"{name}.kubeflow" for _, name in _SERVICES]
    host = next(filter(is_there, hosts), hosts[0])
    return f"http://{host}:{_PORT}"
