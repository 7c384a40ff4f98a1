"""A pipeline as TFX's intermediate representation (IR): what runs, plans or translates it reads."""

from penstock.ir.checking import check
from penstock.ir.compiling import compile_pipeline
from penstock.ir.parameters import (
    RunParameter,
    bind,
    check_parameters,
    check_used,
    effective_parameters,
    run_parameters,
)
from penstock.ir.reading import class_path, deployment, metadata_connection
from penstock.ir.selection import select_nodes, without_deployment
from penstock.ir.unfolding import unfold_given
from penstock.ir.view import CACHE_SECONDS_KEY, Item, Node, Pipeline, view

__all__ = [
    "CACHE_SECONDS_KEY",
    "Item",
    "Node",
    "Pipeline",
    "RunParameter",
    "bind",
    "check",
    "check_parameters",
    "check_used",
    "class_path",
    "compile_pipeline",
    "deployment",
    "effective_parameters",
    "metadata_connection",
    "run_parameters",
    "select_nodes",
    "unfold_given",
    "view",
    "without_deployment",
]
