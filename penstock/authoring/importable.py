"""Whether another process finds what a module defines, when it imports that module."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def obstacle(function: Callable[..., Any]) -> str | None:
    """Return why the process of a node would not find what is made of a function now, or None.

    That process imports the function's module, so it has to be made while that is imported: at
    the top of the module, or by a function that is called there.
    """
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        return None  # an interactive session lends what it defines
    frame = _module_frame(vars(module))
    if frame is None:
        maker = function.__qualname__.partition(".<locals>")[0]
        return f"it is made inside {maker}(), which importing the module does not call"
    if function.__module__ == "__main__" and _is_for_scripts_alone(file, frame.f_lineno):
        return 'it is made below if __name__ == "__main__":, which importing the module leaves out'
    return None


def _module_frame(namespace: dict[str, Any]) -> FrameType | None:
    """Return the frame in which a module's own lines are running, if they are."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is namespace and frame.f_code.co_name == "<module>":
            return frame
        frame = frame.f_back
    return None


def _is_for_scripts_alone(file: str, line: int) -> bool:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return False
    return any(
        statement.lineno <= line <= (statement.end_lineno or line) and _asks_for_main(statement)
        for statement in tree.body
    )


def _asks_for_main(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Compare)
        and {"__name__", "'__main__'"}
        <= {ast.unparse(part) for part in (statement.test.left, *statement.test.comparators)}
    )
