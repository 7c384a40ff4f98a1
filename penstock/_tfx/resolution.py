"""What TFX's input resolution asks the store for, with queries in the place of reading it all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock._tfx.core import artifact_utils, channel_resolver, ml_metadata

_resolve_single_channel = channel_resolver.resolve_single_channel
_read_executions = channel_resolver._get_executions_by_all_contexts
# TFX's own runner opens stores with the stock client, and that of ml-metadata 1.21 has no queries.
_NoQueriesError = ml_metadata.errors.UnimplementedError


def _executions_by_all_contexts(store: Any, contexts: Sequence[Any]) -> list[Any]:
    """Ask the store for what lies in all contexts; TFX reads all that any of them ever had."""
    if not contexts:
        return []
    conditions = [f"contexts_{index}.id = {c.id}" for index, c in enumerate(contexts)]
    options = ml_metadata.ListOptions(filter_query=" AND ".join(conditions))
    try:
        return list(store.get_executions(list_options=options))
    except _NoQueriesError:
        return list(_read_executions(store, contexts))


def _resolve_channel(handle_like: Any, channel: Any) -> list[Any]:
    """Resolve a channel; one that says no more than a pipeline and a type from its artifacts.

    TFX reads all executions that the pipeline ever had to find what they put out.
    """
    kinds = [query.type.name for query in channel.context_queries]
    type_name = channel.artifact_query.type.name
    if kinds != ["pipeline"] or channel.output_key or not type_name:
        return list(_resolve_single_channel(handle_like, channel))
    store = channel_resolver.mlmd_cm.get_handle(handle_like).store
    name = channel.context_queries[0].name.field_value.string_value
    context = store.get_context_by_type_and_name("pipeline", name)
    if context is None:
        return []
    options = ml_metadata.ListOptions(filter_query=f"type = '{type_name}' AND state = LIVE")
    try:
        artifacts = store.get_artifacts_by_context(context.id, list_options=options)
    except _NoQueriesError:
        return list(_resolve_single_channel(handle_like, channel))
    if not artifacts:
        return []
    artifact_type = store.get_artifact_type(type_name)
    return list(artifact_utils.deserialize_artifacts(artifact_type, artifacts))


def install() -> None:
    """Let TFX's input resolution ask so."""
    channel_resolver._get_executions_by_all_contexts = _executions_by_all_contexts
    channel_resolver.resolve_single_channel = _resolve_channel
