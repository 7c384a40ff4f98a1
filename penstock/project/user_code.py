"""Code that users bring: finding it and running it.

A component is given user code as TFX gives it: by `module_file` (the path of a Python file), by
`module_path` (the dotted name of a module) or by the dotted name of a function.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, TypeVar

from penstock.errors import ParameterError, PenstockError, UserCodeError, nearest, suggestion
from penstock.project import extras

Result = TypeVar("Result")

# What an error of the user's code says before the lines by which it came.
CAME_BY = "It came by these lines:"

_SHOWN_FRAMES = 12


def load_function(
    name: str,
    *,
    module_file: str | None = None,
    module_path: str | None = None,
    function: str | None = None,
) -> Callable[..., Any]:
    """Return the user's function `name`.

    `module_path` is looked at first, then `module_file`, as TFX does. `function` is the function's
    own name within that module where it is not `name`, or without a module its dotted name.

    Raises:
      UserCodeError: the module is missing, does not import or lacks the function.
      ParameterError: no place to look at is given.
    """
    module, attribute = _load(name, module_file, module_path, function)
    member = getattr(module, attribute, None)
    if callable(member):
        return member
    functions = [key for key, value in vars(module).items() if callable(value)]
    raise UserCodeError(
        f"the module should define a function {attribute!r}"
        + ("" if member is None else f", and its {attribute!r} is a {type(member).__name__}"),
        path=getattr(module, "__file__", None) or module.__name__,
        hint=suggestion(attribute, [key for key in functions if not key.startswith("_")]),
    )


def find_function(
    name: str,
    *,
    module_file: str | None = None,
    module_path: str | None = None,
    function: str | None = None,
) -> Callable[..., Any] | None:
    """Return the user's function `name`, or None where there is no module or it lacks that name.

    A module that is missing or does not import is still a UserCodeError, and so is a `function`
    that was named and is not there.
    """
    if function:
        return load_function(
            name, module_file=module_file, module_path=module_path, function=function
        )
    if not (module_file or module_path):
        return None
    module, attribute = _load(name, module_file, module_path, function)
    member = getattr(module, attribute, None)
    return member if callable(member) else None


def run(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call the user's `function`; what it raises becomes a UserCodeError that shows their lines.

    So does what has not run at all: the coroutine of an async function.
    """
    try:
        returned = function(*args, **kwargs)
    except PenstockError:
        raise
    except Exception as error:
        raise error_of(function, error) from error
    if inspect.iscoroutine(returned):
        returned.close()
        raise UserCodeError(
            f"{getattr(function, '__name__', function)} is an async function: calling it does not "
            "run its body",
            path=place_of(function),
            hint="Write it without async, with asyncio.run(...) where it has to wait.",
        )
    return returned


def place_of(function: Callable[..., Any]) -> str | None:
    """Return file and line of a function of Python's, also of one whose arguments are bound."""
    code = getattr(getattr(function, "func", function), "__code__", None)
    return code and f"{code.co_filename}:{code.co_firstlineno}"


def error_of(function: Callable[..., Any], error: Exception) -> UserCodeError:
    """Return the UserCodeError for what the user's `function` raised, with their lines."""
    name = getattr(function, "__name__", str(function))
    code = getattr(function, "__code__", None)
    return user_code_error(f"{name} failed", error, code and code.co_filename)


def folded(error: BaseException) -> str:
    """Return what an exception says, and the lines of the user's own code that led to it."""
    reason = _reason(error)
    frames = _user_frames(error.__traceback__, None)
    if not frames:
        return reason
    return f"{reason} ({frames[-1].filename}:{frames[-1].lineno}). {_lines_of(frames)}"


def of_frames(reason: str, frames: Iterable[traceback.FrameSummary]) -> UserCodeError | None:
    """Return an error for what was raised in another process, by the frames that it has told.

    None if none of them is of the user's own code.
    """
    own = _of_the_user(frames, None)
    if not own:
        return None
    return UserCodeError(reason, path=f"{own[-1].filename}:{own[-1].lineno}", hint=_lines_of(own))


def _load(
    name: str, module_file: str | None, module_path: str | None, function: str | None
) -> tuple[ModuleType, str]:
    if module_path:
        return _import(module_path), function or name
    if module_file:
        return load_module(module_file), function or name
    if function:
        module, _, attribute = function.rpartition(".")
        if not module:
            raise ParameterError(
                f"{name} should be the dotted name of a function, as package.module.{function}, "
                f"and is {function!r}",
                hint="Or give module_file, the path of the Python file that defines it.",
            )
        return _import(module), attribute
    raise ParameterError(
        f"there is no code to take {name} from",
        hint=f"Give module_file, the path of a Python file that defines {name}, or {name} itself "
        "as a dotted name.",
    )


def _import(module_path: str) -> ModuleType:
    try:
        return importlib.import_module(module_path)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and (module_path == missing or module_path.startswith(f"{missing}.")):
            raise UserCodeError(
                f"there is no module {module_path!r}: {missing!r} cannot be imported",
                hint="Install its package, or set PYTHONPATH to the directory that holds it.",
            ) from error
        raise user_code_error(
            f"the module {module_path} does not import", error, _origin(module_path)
        ) from error


def _origin(module_path: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module_path)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def load_module(module_file: str) -> ModuleType:
    """Import a Python file under a name of its own, once for each state of its content.

    Modules beside it can be imported, also later, from within its functions. In a package
    (`__init__.py` beside it) its relative imports work.
    """
    path = existing_file(module_file)
    source = path.read_bytes()
    name = f"{path.stem}_{hashlib.sha256(str(path).encode() + source).hexdigest()[:12]}"
    package = _package_name(path)
    name = f"{package}.{name}" if package else name
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserCodeError("a module file should end in .py", path=str(path))
    module = importlib.util.module_from_spec(spec)
    with _siblings_importable(path):
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise user_code_error("the module does not import", error, str(path)) from error
    return module


def existing_file(module_file: str) -> Path:
    """Return the path of a module file; a missing one is a UserCodeError with the nearest name."""
    path = Path(module_file).expanduser()
    if path.is_file():
        return path.resolve()
    folder = path.parent
    if not folder.is_dir():
        raise UserCodeError(
            f"the module file {module_file} does not exist, nor does its folder",
            path=str(folder.absolute()),
        )
    beside = [file.name for file in folder.glob("*.py")]
    match = nearest(path.name, beside)
    hint = suggestion(path.name, beside, noun="Python file") if match or beside else None
    raise UserCodeError(
        f"the module file {module_file} does not exist",
        path=str(path.absolute()),
        hint=hint or "There is no Python file in its folder.",
    )


def _package_name(path: Path) -> str | None:
    """Return the name of the package that a file lies in, as it is imported or by its folders."""
    if not (path.parent / "__init__.py").is_file():
        return None
    folder = str(path.parent)
    for name, module in list(sys.modules.items()):
        if folder in [os.path.realpath(entry) for entry in _package_folders(module)]:
            return name
    return ".".join(path.parent.relative_to(package_root(path)).parts)


def _package_folders(module: ModuleType | None) -> list[str]:
    # Some libraries keep lazy stand-ins in sys.modules whose attributes are anything.
    folders = getattr(module, "__dict__", {}).get("__path__")
    try:
        return [entry for entry in folders or () if isinstance(entry, str)]
    except TypeError:
        return []


def package_root(path: Path) -> Path:
    """Return the directory to import from: the nearest one above that is not a package."""
    root = path.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return root


@contextmanager
def _siblings_importable(path: Path) -> Iterator[None]:
    """Make the modules beside `path` win over others of the same names while it loads."""
    roots = list(dict.fromkeys([str(path.parent), str(package_root(path))]))
    others = {name: sys.modules.pop(name) for name in _shadowed(path.parent)}
    sys.path[:0] = roots
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for root in roots:
            sys.path.remove(root)
            if root not in sys.path:
                # Functions may import their siblings when they run.
                sys.path.append(root)
        for name, module in others.items():
            sys.modules.setdefault(name, module)


def _shadowed(folder: Path) -> list[str]:
    """Return the modules that came from elsewhere and have the name of a file in `folder`."""
    shadowed = []
    for file in folder.glob("*.py"):
        loaded = getattr(sys.modules.get(file.stem), "__file__", None)
        if not loaded or file.stem in sys.stdlib_module_names:
            continue
        if os.path.realpath(loaded) != str(file.resolve()):
            shadowed.append(file.stem)
    return shadowed


def user_code_error(what: str, error: BaseException, path: str | None) -> UserCodeError:
    """Return a UserCodeError that shows the lines of the user's own code, innermost last."""
    reason = _reason(error)
    absent = extras.of_import_error(error)
    install = absent.hint if absent else None
    if isinstance(error, SyntaxError) and error.filename:
        location = f"{error.filename}:{error.lineno}"
        line = (error.text or "").strip()
        return UserCodeError(
            f"{what}: {type(error).__name__}: {error.msg}", path=location, hint=f"The line: {line}"
        )
    frames = _user_frames(error.__traceback__, path)
    if not frames:
        return UserCodeError(f"{what}: {reason}", path=path, hint=install)
    return UserCodeError(
        f"{what}: {reason}",
        path=f"{frames[-1].filename}:{frames[-1].lineno}",
        hint="\n".join(filter(None, (_lines_of(frames), install))),
    )


def _reason(error: BaseException) -> str:
    try:
        text = str(error).strip()
    except Exception:  # whatever a class of the user's may do
        text = ""
    return f"{type(error).__name__}: {text or 'no message'}"


def _lines_of(frames: list[traceback.FrameSummary]) -> str:
    if len(frames) > _SHOWN_FRAMES:
        # Of a recursion the ends are enough.
        half = _SHOWN_FRAMES // 2
        left_out = [f"\n  … {len(frames) - 2 * half} more …"]
        return CAME_BY + "".join(
            [*map(_line_of, frames[:half]), *left_out, *map(_line_of, frames[-half:])]
        )
    return CAME_BY + "".join(map(_line_of, frames))


def _line_of(frame: traceback.FrameSummary) -> str:
    return f"\n  {frame.filename}:{frame.lineno}, in {frame.name}\n    {frame.line}"


def _user_frames(
    error_traceback: TracebackType | None, path: str | None
) -> list[traceback.FrameSummary]:
    """Return the frames of the user's own code: neither ours nor of an installed package.

    All that is below the folder of `path` is the user's, wherever that is.
    """
    return _of_the_user(traceback.extract_tb(error_traceback), path)


def _of_the_user(
    raised: Iterable[traceback.FrameSummary], path: str | None
) -> list[traceback.FrameSummary]:
    linecache.checkcache()
    own = os.path.dirname(os.path.realpath(path)) + os.sep if path else None
    others = _folders_of_others()
    frames = []
    for frame in raised:
        if frame.filename.startswith("<frozen "):
            continue  # Python's import system, which looks as if it lay in the current folder
        file = os.path.realpath(frame.filename)
        is_own = own is not None and file.startswith(own)
        if is_own or (os.path.isfile(file) and not file.startswith(others)):
            frames.append(frame)
    return frames


def hidden_packages(error: BaseException) -> dict[str, str]:
    """Return the installed packages in whose place a file of the user's has been imported.

    Also where that file has failed, as the traceback of `error` shows.
    """
    files = [
        (name, getattr(module, "__dict__", {}).get("__file__"))
        for name, module in list(sys.modules.items())
        if "." not in name
    ]
    chained: BaseException | None = error
    while chained is not None:
        found = traceback.extract_tb(chained.__traceback__)
        files += [(Path(frame.filename).stem, frame.filename) for frame in found]
        chained = chained.__cause__ or chained.__context__
    installed = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    return {
        name: file
        for name, file in files
        if isinstance(file, str)
        and os.path.isfile(file)
        and any(os.path.isfile(os.path.join(path, name, "__init__.py")) for path in installed)
        and Path(file).stem == name
        and not is_of_others(file)
    }


def is_of_others(path: str) -> bool:
    """Whether a file or folder is Python's, ours or of an installed package, and not the user's."""
    return (os.path.realpath(path) + os.sep).startswith(_folders_of_others())


def _folders_of_others() -> tuple[str, ...]:
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    ours = [sys.modules.get(name) for name in ("penstock", "penstock.components")]
    folders += [os.path.dirname(module.__file__) for module in ours if module and module.__file__]
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)
