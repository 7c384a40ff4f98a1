"""Calls that run what data says, or leave traces where others can reach them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("penstock", "components", "pipelines")
    for path in (ROOT / folder).rglob("*.py")
)

# Calls by their names, as they are written.
BANNED = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "dill.loads",
    "cloudpickle.load", "cloudpickle.loads", "marshal.load", "marshal.loads", "shelve.open",
    "joblib.load", "eval", "exec", "compile", "__import__", "os.system", "os.popen",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "runpy.run_path", "runpy.run_module",
    "json_utils.loads", "torch.load", "pandas.read_pickle", "pd.read_pickle",
    "enable_unsafe_deserialization", "tempfile.mktemp", "os.tempnam", "tarfile.open",
    "shutil.unpack_archive", "socket.socket", "Listener", "connection.Listener",
    "socketserver.UnixStreamServer",
}  # fmt: skip

# Arguments that switch protection off.
BANNED_ARGUMENTS = {"allow_pickle": True, "shell": True, "safe_mode": False}

EXCEPTIONS = {
    ("penstock/safety/unpickling.py", "dill.loads"): "what this process has dumped, by its digest",
    ("penstock/data/parallel/parts.py", "pickle.loads"): "sent to this worker, or signed by one",
    (
        "penstock/report/compiled.py",
        "marshal.loads",
    ): "beside the source, as bytecode of modules is",
    ("penstock/serving/frames.py", "socket.socket"): "an end of a pair without an address",
    (
        "penstock/safety/private.py",
        "socket.socket",
    ): "in a folder of the user's alone, and each end asks the system who the other is",
}

# Where something is mounted in a pod, whose processes are all of one node.
MOUNTS = {"penstock/project/pods.py": {"/dev/shm"}}

PRINTERS = {
    "penstock/surfaces/cli/printing.py": {"click.echo", "click.style"},
    "penstock/surfaces/cli/completion.py": {"click.echo"},  # a shell's own script
}


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_source_runs_what_data_says(path):
    place = str(path.relative_to(ROOT))
    for call in calls(ast.parse(path.read_text())):
        name = ast.unparse(call.func)
        if (place, name) not in EXCEPTIONS:
            assert name not in BANNED, f"{place}:{call.lineno}"
        for argument in call.keywords:
            if argument.arg in BANNED_ARGUMENTS and isinstance(argument.value, ast.Constant):
                value = argument.value.value
                assert value != BANNED_ARGUMENTS[argument.arg], f"{place}:{call.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_source_has_a_predictable_name_in_a_folder_that_all_can_write(path):
    tree = ast.parse(path.read_text())
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    shared = ("/tmp", "/var/tmp", "/dev/shm")
    mounts = MOUNTS.get(str(path.relative_to(ROOT)), set())
    assert not [t for t in texts if isinstance(t, str) and t.startswith(shared) and t not in mounts]
    assert not [c for c in calls(tree) if ast.unparse(c.func).endswith("gettempdir")]


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if "surfaces/cli" in str(path)],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_no_command_prints_but_by_what_keeps_a_terminal_from_obeying(path):
    place = str(path.relative_to(ROOT))
    names = {ast.unparse(call.func) for call in calls(ast.parse(path.read_text()))}
    printing = {"print", "click.echo", "click.secho", "click.style", "sys.stdout.write"}
    assert names & printing == PRINTERS.get(place, set())


def test_every_exception_is_still_needed():
    for (place, name), _ in EXCEPTIONS.items():
        found = {ast.unparse(call.func) for call in calls(ast.parse((ROOT / place).read_text()))}
        assert name in found
