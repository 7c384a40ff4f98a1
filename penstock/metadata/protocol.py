"""What Penstock asks of an ML Metadata store; `penstock.metadata.store.connect` gives one.

ML Metadata's own client has all of it but `answer`, `another`, `close`, `fitting` and
`take_changed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from penstock import _tfx
    from penstock.metadata.databases.patience import Patience


class Store(Protocol):
    """A client of ML Metadata; what its methods do and raise is in ML Metadata's documentation."""

    def answer(self, method_name: str, request: Any, response: Any) -> None:
        """Call a method of ML Metadata's service by its name, and fill in the response."""

    def another(self, patience: Patience) -> Store:
        """Return another connection to the store, which the first keeps from nothing."""

    def close(self) -> None:
        """Let go of the connection; a call that comes after all makes another."""

    def fitting(self) -> AbstractContextManager[None]:
        """Write what the database refuses of executions and artifacts once more, made to fit."""

    def take_changed(self) -> list[str]:
        """Return, once, what was written otherwise than asked for, as the database refused it."""

    def get_artifacts(
        self, list_options: _tfx.ListOptions | None = None
    ) -> list[_tfx.ArtifactProto]:
        """Return artifacts, all or those that the options choose."""

    def get_artifacts_by_id(self, artifact_ids: Iterable[int]) -> Sequence[_tfx.ArtifactProto]:
        """Return those of these ids that are there."""

    def get_artifacts_by_uri(self, uri: str) -> Sequence[_tfx.ArtifactProto]:
        """Return those at an address."""

    def get_artifacts_by_type(
        self, type_name: str, type_version: str | None = None
    ) -> Sequence[_tfx.ArtifactProto]:
        """Return those of a type."""

    def get_artifacts_by_context(
        self, context_id: int, list_options: _tfx.ListOptions | None = None
    ) -> list[_tfx.ArtifactProto]:
        """Return those in a context."""

    def get_artifact_type(
        self, type_name: str, type_version: str | None = None
    ) -> _tfx.ArtifactTypeProto:
        """Return a type by its name."""

    def get_artifact_types(self) -> Sequence[_tfx.ArtifactTypeProto]:
        """Return all types."""

    def get_artifact_types_by_id(self, type_ids: Iterable[int]) -> Sequence[_tfx.ArtifactTypeProto]:
        """Return types by their ids."""

    def put_artifact_type(
        self, artifact_type: _tfx.ArtifactTypeProto, can_add_fields: bool = False
    ) -> int:
        """Make a type, or find it; return its id."""

    def put_artifacts(self, artifacts: Sequence[_tfx.ArtifactProto]) -> Sequence[int]:
        """Write artifacts, new or changed; return their ids."""

    def get_executions(
        self, list_options: _tfx.ListOptions | None = None
    ) -> list[_tfx.ExecutionProto]:
        """Return executions, all or those that the options choose."""

    def get_executions_by_id(self, execution_ids: Iterable[int]) -> Sequence[_tfx.ExecutionProto]:
        """Return those of these ids that are there."""

    def get_executions_by_context(
        self, context_id: int, list_options: _tfx.ListOptions | None = None
    ) -> list[_tfx.ExecutionProto]:
        """Return those in a context."""

    def put_executions(self, executions: Sequence[_tfx.ExecutionProto]) -> Sequence[int]:
        """Write executions, new or changed; return their ids."""

    def get_events_by_execution_ids(self, execution_ids: Iterable[int]) -> list[_tfx.EventProto]:
        """Return what executions took and made."""

    def get_events_by_artifact_ids(self, artifact_ids: Iterable[int]) -> list[_tfx.EventProto]:
        """Return what took and made artifacts."""

    def get_contexts(self, list_options: _tfx.ListOptions | None = None) -> list[_tfx.ContextProto]:
        """Return contexts, all or those that the options choose."""

    def get_contexts_by_id(self, context_ids: Iterable[int]) -> Sequence[_tfx.ContextProto]:
        """Return those of these ids that are there."""

    def get_contexts_by_type(
        self, type_name: str, type_version: str | None = None
    ) -> list[_tfx.ContextProto]:
        """Return those of a type."""

    def get_context_by_type_and_name(
        self, type_name: str, context_name: str, type_version: str | None = None
    ) -> _tfx.ContextProto | None:
        """Return one by its name, which is unique within its type."""

    def get_context_type(
        self, type_name: str, type_version: str | None = None
    ) -> _tfx.ContextTypeProto:
        """Return a type by its name."""

    def get_parent_contexts_by_context(self, context_id: int) -> list[_tfx.ContextProto]:
        """Return those above one."""

    def put_contexts(self, contexts: Sequence[_tfx.ContextProto]) -> list[int]:
        """Write contexts, new or changed; return their ids."""

    def put_context_type(self, context_type: _tfx.ContextTypeProto) -> int:
        """Write a type; return its id."""

    def get_lineage_subgraph(
        self,
        query_options: Any,  # a LineageSubgraphQueryOptions message
        field_mask_paths: Sequence[str] | None = None,
    ) -> _tfx.LineageGraph:
        """Return what lies around some nodes of the graph."""


class Metadata(Protocol):
    """TFX's handle of a store, which TFX's own functions take."""

    @property
    def store(self) -> Store:
        """ML Metadata's client."""
