"""Whether the files of a version are as they were when it was registered."""

from __future__ import annotations

from penstock import _tfx
from penstock.errors import RegistryError, StorageError
from penstock.execution import contents
from penstock.metadata.protocol import Store
from penstock.metadata.registered import Version, read_model
from penstock.metadata.store import artifacts_by_id
from penstock.safety.presence import is_there


def harm(store: Store, version: Version) -> str:
    """Return what has become of a version's files, "" if they are what was registered.

    Local files are read as a whole. Of files in object stores what these say of them counts.
    """
    [*artifacts] = artifacts_by_id(store, [version.artifact_id])
    if not artifacts:
        return f"the store has no artifact {version.artifact_id} any more"
    if artifacts[0].mlmd_artifact.state != _tfx.metadata_store_pb2.Artifact.LIVE:
        return f"{version.uri} was removed, or is about to be"
    path = contents.local_path(version.uri)
    if path is not None and is_there(path):
        if version.digest and contents.measure(path).digest != version.digest:
            return f"{path} was changed"
        return "" if version.digest else f"no digest of {path} was recorded"
    try:
        return contents.found_damage(artifacts[0])
    except StorageError as error:
        return str(error)


def check(store: Store, version: Version) -> Version:
    """Return a version that may be served.

    Raises:
      RegistryError: it is archived, or its files are gone or altered.
    """
    if version.is_archived:
        raise RegistryError(
            f"{version.name} is archived",
            hint=f"Bring it back with penstock model restore {version.name}, or take another.",
        )
    if reason := harm(store, version):
        raise RegistryError(
            f"{version.name} may not be served: {reason}",
            hint="Move the alias to a version whose files are as they were registered: penstock "
            f"model show {version.model}.",
        )
    return version


def resolve(store: Store, model: str, reference: str | int) -> Version:
    """Return the version that an alias or a number stands for, after its files were looked at.

    Raises:
      RegistryError: there is none, or it is archived, or its files are gone or altered.
    """
    return check(store, read_model(store, model).version(reference))
