"""What the nodes of a pipeline import, and whether all of it is installed here.

It is asked before anything runs: a package that is missing should not be found out by the last
node. What a component imports says its `preload`; what the user's code imports, its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from penstock import ir
from penstock.authoring.beam import BeamOptions
from penstock.errors import UserCodeError
from penstock.execution import work
from penstock.execution.cache import source_file
from penstock.project import extras
from penstock.project.clusters import SparkOptions
from penstock.project.source import certain_imports, foreign_imports

# What their components import they say.
_LIBRARIES = ("penstock.components.", "tfx.")


def check(
    pipeline: ir.Pipeline,
    node_ids: Iterable[str] | None = None,
    *,
    is_done: Callable[[ir.Node], bool] = lambda _: False,
) -> None:
    """Check that what nodes need is installed; all of them, where `node_ids` names none.

    Of nodes that lack something it is asked whether they are done already, and need no more.

    Raises:
      MissingExtra: something is not; the error names all nodes that lack something.
    """
    absent = missing_packages(pipeline, node_ids)
    absent = {name: found for name, found in absent.items() if not is_done(pipeline.nodes[name])}
    if absent:
        raise extras.needed_by_nodes(absent)


def missing_packages(
    pipeline: ir.Pipeline, node_ids: Iterable[str] | None = None
) -> dict[str, list[str]]:
    """Return for each node that lacks something the packages that are not installed."""
    asked = set(pipeline.nodes if node_ids is None else node_ids)
    absent = {node.id: _missing(node, pipeline) for node in pipeline if node.id in asked}
    return {node_id: packages for node_id, packages in absent.items() if packages}


def _missing(node: ir.Node, pipeline: ir.Pipeline) -> list[str]:
    try:
        return extras.missing(modules_of(node, pipeline))
    except ImportError as error:
        package = extras.missing_package(error)
        return [] if package is None else [package]  # of others, who runs the node tells


def modules_of(node: ir.Node, pipeline: ir.Pipeline) -> list[str]:
    """Return the modules that a node's work imports, as far as they are known beforehand."""
    modules = [*work.preloads(node, pipeline), *work.preloads_of_driver(node.driver_path)]
    modules += _asked_for(node)
    for path in work.code_files(node):
        try:
            modules += sorted(certain_imports(path))
        except UserCodeError:
            continue  # the node says what is wrong with its code
    return modules


def only_the_core(node: ir.Node, pipeline: ir.Pipeline) -> bool:
    """Whether a node's work needs nothing that is in an extra, as far as its code shows.

    Code that imports what is neither the core's nor beside it may need anything, and so may the
    loading of a model that was made by such code, or outside of the pipeline.
    """
    path = node.executor_path or ""
    try:
        modules = modules_of(node, pipeline)
        if work.preloads_follow_inputs(node) and not _models_are_of_the_core(node, pipeline):
            return False
    except ImportError:
        return False
    if path.startswith(_LIBRARIES):
        return not any(map(extras.package_of, modules))
    files = [*work.code_files(node), source_file(path.rpartition(".")[0]) or ""]
    try:
        modules += [name for file in filter(None, files) for name in foreign_imports(file)]
    except UserCodeError:
        return False  # the node says what is wrong with its code
    return all(map(extras.is_of_the_core, modules))


def _models_are_of_the_core(node: ir.Node, pipeline: ir.Pipeline) -> bool:
    """Whether the models that a node takes, if any, are made by nodes that need only the core."""
    keys = [key for key, spec in node.proto.inputs.inputs.items() if _is_of_models(spec)]
    makers = [
        pipeline.nodes[name]
        for key in keys
        for name in node.producers_by_input[key]
        if name in pipeline.nodes
    ]
    # A resolver finds what this pipeline made before.
    trained = [maker for maker in makers if not maker.works_in_store]
    return not keys or (bool(trained) and all(only_the_core(maker, pipeline) for maker in trained))


def _is_of_models(spec: Any) -> bool:
    return any(channel.artifact_query.type.name == "Model" for channel in spec.channels)


def _asked_for(node: ir.Node) -> list[str]:
    """Return the module of the engine that a node's arguments of Beam's ask for, if any."""
    arguments = getattr(node.executor, "beam_pipeline_args_placeholders", None) or ()
    options = BeamOptions(tuple(arg.value.string_value for arg in arguments))
    if options.cluster is not None:
        return ["pyspark" if isinstance(options.cluster, SparkOptions) else "ray"]
    return [] if options.in_process else ["apache_beam"]
