"""Making a connection to a Kubeflow Pipelines server from what a profile says."""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any

from penstock.errors import ConfigError, ParameterError
from penstock.project.kubeflow import KubeflowOptions
from penstock.runners.kubeflow.server.service import Patience, Service
from penstock.safety import secrets
from penstock.safety.secrets import Redaction


def connect_to(options: KubeflowOptions, patience: Patience | None = None) -> Service:
    """Return the server that a profile's table names, with its secrets.

    Raises:
      ConfigError: a secret is not there, or there is no host and the SDK finds none.
    """
    try:
        return connect(
            secrets.resolve(options.host),
            token=secrets.resolve(options.token),
            token_file=os.path.expanduser(secrets.resolve(options.token_file)),
            cookies=secrets.resolve(options.cookies),
            namespace=options.namespace,
            ca_certificate=os.path.expanduser(secrets.resolve(options.ca_certificate)),
            pages=options.pages,
            patience=patience,
        )
    except ParameterError as error:
        raise ConfigError(error.message, hint=error.hint) from None


def connect(
    host: str,
    *,
    token: str = "",
    token_file: str = "",
    cookies: str = "",
    namespace: str = "",
    ca_certificate: str = "",
    pages: str = "",
    patience: Patience | None = None,
) -> Service:
    """Return a server to talk to; nothing is sent yet.

    Without `host`, the credentials that the Kubeflow SDK finds count: those of the pod that this
    runs in, or of the kubeconfig file. `pages` is the address of the server's pages for people,
    where it is not `host`. `token_file` is read anew for each request: a token that Kubernetes
    projects into a pod changes.

    Raises:
      ConfigError: there is no host, and the SDK finds none; or there is no such file.
    """
    token = token or (_read_token(token_file) if token_file else "")
    redaction = Redaction({secret: "[secret]" for secret in (token, cookies) if secret})
    api = _at_host(host, token, ca_certificate) if host else _in_cluster(namespace, token)
    if token_file:
        api.configuration.refresh_api_key_hook = functools.partial(_renew, token_file)
    api.rest_client.pool_manager.connection_pool_kw["retries"] = _no_retries()
    if cookies:
        api.cookie = cookies
    return Service(
        api=api,
        host=api.configuration.host,
        namespace=namespace,
        redaction=redaction,
        patience=patience or Patience(),
        pages=pages.rstrip("/"),
    )


def _at_host(host: str, token: str, ca_certificate: str) -> Any:
    """Return the SDK's API client for an address; the SDK's front is slow to import."""
    import kfp_server_api

    settings = kfp_server_api.Configuration()
    settings.host = (host if "://" in host else f"https://{host}").rstrip("/")
    settings.ssl_ca_cert = ca_certificate or None
    _authorize(settings, token)
    return kfp_server_api.ApiClient(settings)


def _in_cluster(namespace: str, token: str) -> Any:
    """Return the API client that the SDK makes from the pod's or kubectl's credentials."""
    import kfp
    import kfp_server_api

    class Client(kfp.Client):
        """The SDK's client, which does not ask the server anything while it is made."""

        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        client = Client(existing_token=token or None, namespace=namespace or "kubeflow")
    api = client._run_api.api_client
    if not api.configuration.host or api.configuration.host == "http://localhost":
        raise ConfigError(
            "the profile names no host for Kubeflow Pipelines, and there is neither a pod nor a "
            "kubeconfig file to tell it",
            hint='Write host = "http://localhost:8888" into its table `kubeflow`, and run kubectl '
            "port-forward -n kubeflow svc/ml-pipeline 8888.",
        )
    return api


def _authorize(settings: Any, token: str) -> None:
    if token:
        settings.api_key["authorization"] = token
        settings.api_key_prefix["authorization"] = "Bearer"


def _renew(token_file: str, settings: Any) -> None:
    _authorize(settings, _read_token(token_file))


def _read_token(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(
            f"the token in {path} cannot be read: {reason}",
            hint="The profile's `token_file` names it; in a pod it is where a projected volume "
            "puts the service account's token.",
        ) from None
    if not token:
        raise ConfigError(f"the file {path}, which the profile's `token_file` names, is empty")
    return token


def _no_retries() -> Any:
    """Return urllib3's settings for: send once, follow nothing, give the answer back as it is."""
    import urllib3

    return urllib3.Retry(total=0, redirect=0, raise_on_redirect=False, raise_on_status=False)
