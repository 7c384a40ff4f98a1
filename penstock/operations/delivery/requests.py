"""What a process is asked to do with a project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A task with the project in `folder`, of the repository at `top`.

    `in_place_of` is the working tree of which `top` has other files: no code may come from there.
    `only` are the pipelines that it is about, by default all. `rows` and `anew` are about samples.
    """

    folder: str
    top: str
    profile: str = ""
    task: str = "describe"
    with_store: bool = False
    in_place_of: str = ""
    only: tuple[str, ...] = ()
    rows: int = 0
    anew: bool = False
