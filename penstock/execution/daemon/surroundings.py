"""What a process has around it, that a copy of another process cannot take on.

A daemon lends no nursery where one of these is another than its own: modules have settled by them
while they were imported, or the system lets no process change them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping

import penstock

# Of what is around a process, by what it is called; texts that are only compared.
Surroundings = Mapping[str, str]

_VARIABLE = "the variable "
# What libraries or Python itself look at while they begin.
_AT_IMPORT = re.compile(
    r"(TF|TFX|TENSORFLOW|XLA|KERAS|TFHUB|CUDA|CUDNN|NVIDIA|NCCL|ROCR|HIP|GPU|TORCH|PYTORCH|JAX|ABSL|"
    r"OMP|GOMP|KMP|MKL|OPENBLAS|GOTO|BLIS|VECLIB|NUMEXPR|NUMBA|NUMPY|NPY|ARROW|DNNL|ONEDNN|RAY|SPARK|"
    r"GRPC|PROTOCOL_BUFFERS|PROTOBUF|BEAM|FSSPEC|MPL|MALLOC|JE_MALLOC|GLIBC|LD|PYTHON|LC)_?.*"
    r"|LANG|LANGUAGE|TZ|TZDIR|TMPDIR|TMP|TEMP|HOME|VIRTUAL_ENV|CONDA_PREFIX|XDG_CONFIG_HOME|XDG_CACHE_HOME"
)
_SAID = "PENSTOCK_DAEMON"
# What libraries set themselves as they are imported, in whose process that is: nobody's wish.
_OF_LIBRARIES = {
    "KMP_DUPLICATE_LIB_OK": "True",  # threadpoolctl
    "KMP_INIT_AT_FORK": "FALSE",  # scikit-learn, joblib
    "TF2_BEHAVIOR": "1",  # TensorFlow
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # the kernel of a notebook
}
_RIGHTS = re.compile(r"(Uid|Gid|Groups|Cap\w+|NoNewPrivs|Seccomp):")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_CONTROL_GROUPS = "/sys/fs/cgroup"
_LIMITS = ("memory.max", "memory.high", "cpu.max", "cpuset.cpus", "pids.max")


def of_this_process(project: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is around this process, which works at a project.

    Raises:
      OSError: this system does not tell.
    """
    return {
        "the project": os.path.realpath(project),
        "Python": f"{sys.executable} {sys.prefix} {sys.base_prefix} {sys.version}",
        "how Python was started": repr(subprocess._args_from_interpreter_flags()),  # type: ignore[attr-defined]
        "where Penstock is": os.path.realpath(penstock.__file__),
        "the user's rights": "\n".join(filter(_RIGHTS.match, _lines("/proc/self/status"))),
        "the namespace": " ".join(os.readlink(f"/proc/self/ns/{kind}") for kind in _namespaces()),
        "limits of the control group": _limits_of_control_groups(),
        "the set of CPUs": repr(sorted(os.sched_getaffinity(0))),
        "the priority": str(os.getpriority(os.PRIO_PROCESS, 0)),
        **{
            _VARIABLE + name: value
            for name, value in environment.items()
            if _AT_IMPORT.fullmatch(name) and _counts(name, value)
        },
    }


def difference(own: Surroundings, others: Surroundings) -> str:
    """Return what first differs between a daemon's surroundings and a run's, or an empty text."""
    for key in sorted({*own, *others}):
        if own.get(key) == others.get(key):
            continue
        if key.startswith(_VARIABLE):
            return f"{key}{_value(others.get(key))} in the run, and{_value(own.get(key))} in it"
        return f"{key} is another one than the run's"
    return ""


def _counts(name: str, value: str) -> bool:
    return name != _SAID and _OF_LIBRARIES.get(name) != value


def _value(value: str | None) -> str:
    return " is not set" if value is None else f" is {value!r}"


def _namespaces() -> list[str]:
    return [kind for kind in _NAMESPACES if os.path.exists(f"/proc/self/ns/{kind}")]


def _limits_of_control_groups() -> str:
    """Return what limits this process as one of a group, with the group that has the limit.

    A group without a limit, as each terminal has one, makes no difference.
    """
    found = []
    for line in _lines("/proc/self/cgroup"):
        number, controllers, group = line.split(":", 2)
        if number != "0" or controllers:  # of the first version: each controller has groups alone
            if not controllers.startswith("name="):
                found.append(line)
            continue
        parts = group.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            folder = "/".join((_CONTROL_GROUPS, *parts[:depth]))
            for limit in _LIMITS:
                text = " ".join(_lines(f"{folder}/{limit}"))
                if text and not text.startswith("max"):
                    found.append(f"{folder} {limit} {text}")
    return "\n".join(found)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []
