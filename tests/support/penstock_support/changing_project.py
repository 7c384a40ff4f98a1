"""A small project that changes: its files, and what its nodes should make of them.

`Project` writes the files. `expected` says, from the project's own values alone, what a node makes
of its inputs and which of these values count for it: two executions of a node with the same
`Made.because` can stand for each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PIPELINE = """
from penstock import pipeline
from penstock.components import LatestArtifact
from tfx.dsl.experimental.conditionals.conditional import Cond

from first_steps import Count, Read, Shuffle
from second_steps import Announce, Compare, Options, Publish, Train, Use
{comment}

@pipeline
def lines(folder: str = "data", factor: int = 1, steps: int = 5):
    read = Read(folder=folder)
    examples = read.outputs["examples"]
    count = Count(examples=examples, factor=factor).with_options(cache={count_cache})
    more = {{"statistics": count.outputs["statistics"]}} if {is_wired} else {{}}
    train = Train(
        examples=examples,
        module_file={module_file!r},
        options=Options(steps=steps, names={names!r}),
        **more,
    )
    shuffle = Shuffle(examples=examples).with_options(cache={shuffle_cache})
    use = Use(schema=shuffle.outputs["schema"])
    previous = LatestArtifact(train.outputs["model"]).with_id("previous")
    compare = Compare(model=train.outputs["model"], previous=previous.outputs["model"])
    with Cond(count.outputs["output"].future()[0].value > {threshold}):
        publish = Publish(model=train.outputs["model"], number=count.outputs["output"])
    announce = Announce(pushed=publish.outputs["pushed"])
    return [use, compare, announce]
"""

FIRST_STEPS = '''
import os
from pathlib import Path
from penstock import Input, Output, Resolved, component
from penstock.artifacts import Examples, ExampleStatistics, Schema
import texts

JOINED = {joined!r}
SCALE = {scale}


def unused():
    return {unused!r}


def found(parameters):
    folder = parameters["folder"]
    if not os.listdir(folder):
        raise ValueError("the folder is empty")
    text = "".join(n + Path(folder, n).read_text() for n in sorted(os.listdir(folder)))
    return {{"contents": text}}


@component(resolve=found)
def Read(examples: Output[Examples], folder: str, contents: Resolved[str] = "") -> None:
    """Read {docstring}."""
    names = sorted(os.listdir(folder))
    Path(examples.uri, "text").write_text(JOINED.join(Path(folder, n).read_text() for n in names))


@component
def Count(
    examples: Input[Examples], statistics: Output[ExampleStatistics], factor: int = 1
) -> int:
    {comment}
    number = len(Path(examples.uri, "text").read_text()) * factor * SCALE
    Path(statistics.uri, "text").write_text(texts.decorated(str(number)))
    return number


@component
def Shuffle(examples: Input[Examples], schema: Output[Schema]) -> None:
    Path(schema.uri, "text").write_text(os.urandom(8).hex())
'''

SECOND_STEPS = """
from dataclasses import dataclass
from pathlib import Path
from penstock import Input, Output, component
from penstock.artifacts import ExampleStatistics, Examples, Model, PushedModel, Schema
from penstock.project.user_code import load_function
from texts import decorated


@dataclass(frozen=True)
class Options:
    steps: int = 1
    names: str = ""


def text_of(artifact):
    return Path(artifact.uri, "text").read_text() if artifact else "nothing"


@component
def Train(
    examples: Input[Examples],
    model: Output[Model],
    module_file: str,
    statistics: Input[ExampleStatistics] | None = None,
    options: Options = Options(),
) -> None:
    words = load_function("words", module_file=module_file)
    text = words(text_of(examples), options.steps)
    text = f"{{text}} {{text_of(statistics)}} {{options.names}}{prefix}"
    Path(model.uri, "text").write_text(text)


@component
def Use(schema: Input[Schema]) -> str:
    return decorated(text_of(schema))


@component
def Compare(model: Input[Model], previous: Input[Model] | None = None) -> str:
    {broken}
    return f"{{text_of(previous)}}>{{text_of(model)}}"


@component
def Publish(model: Input[Model], pushed: Output[PushedModel], number: int = 0) -> None:
    Path(pushed.uri, "text").write_text(f"{{number}}:{{text_of(model)}}")


@component
def Announce(pushed: Input[PushedModel]) -> str:
    import announcing
    return announcing.said(text_of(pushed))
"""

TEXTS = """
{comment}
def decorated(text):
    return text + {suffix!r}

def beside():
    return {beside!r}
"""

ANNOUNCING = """
import os
def said(text):
    {comment}
    return {said!r} + text
"""

WORDS = """
{comment}
def words(text, steps):
    return {word!r} + text * (steps % 3 + 1)
{not_python}
"""

PROFILE = """
[pipelines]
lines = "pipeline.py:lines"

[profiles.default]
pipeline_root = "root"

[profiles.default.parameters.lines]
factor = {factor}
"""

# What each node is given: the producer and the key.
INPUTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Read": {},
    "Count": {"examples": ("Read", "examples")},
    "Shuffle": {"examples": ("Read", "examples")},
    "Use": {"schema": ("Shuffle", "schema")},
    "Train": {"examples": ("Read", "examples"), "statistics": ("Count", "statistics")},
    "Compare": {"model": ("Train", "model"), "previous": ("previous", "model")},
    "Publish": {"model": ("Train", "model"), "number": ("Count", "output")},
    "Announce": {"pushed": ("Publish", "pushed")},
}


@dataclass(frozen=True)
class Made:
    """What a node makes, as texts by output key, and because of which values."""

    texts: Mapping[str, str]
    because: Any


@dataclass
class Project:
    """The project's files, and the values from which they are made."""

    folder: Path
    values: dict[str, Any] = field(
        default_factory=lambda: {
            "factor": 1,
            "joined": "+",
            "scale": 1,
            "unused": "a",
            "docstring": "files",
            "prefix": "",
            "suffix": "!",
            "beside": "a",
            "said": "said ",
            "word": "w",
            "names": "n",
            "is_wired": True,
            "count_cache": True,
            "shuffle_cache": True,
            "module_file": "words.py",
            "threshold": 0,
            "broken": "pass",
            "not_python": "",
        }
    )
    comments: dict[str, str] = field(default_factory=dict)
    formatting: bool = False
    data: dict[str, str] = field(default_factory=lambda: {"a.txt": "one", "b.txt": "two"})

    def write(self) -> None:
        """Write all files of code that differ from what is there."""
        values = self.values
        for name, text in (
            ("pipeline.py", PIPELINE),
            ("first_steps.py", FIRST_STEPS),
            ("second_steps.py", SECOND_STEPS),
            ("texts.py", TEXTS),
            ("announcing.py", ANNOUNCING),
            ("words.py", WORDS),
            ("other_words.py", WORDS),
            ("penstock.toml", PROFILE),
        ):
            made = text.format(**{**values, "comment": self.comments.get(name, "")})
            if self.formatting and name.endswith(".py"):
                made = made.replace("\n\n", "\n\n\n\n").replace(" = ", "  =  ")
            path = self.folder / name
            if not path.exists() or path.read_text() != made:
                path.write_text(made)

    def write_data(self) -> None:
        """Make the input folder hold what it should."""
        folder = self.folder / "data"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            if path.name not in self.data:
                path.unlink()
        for name, text in self.data.items():
            (folder / name).write_text(text)

    def has_no_cache(self, node: str) -> bool:
        """Whether a node's own options put its cache off."""
        return not self.values.get(f"{node.lower()}_cache", True)

    def expected(
        self, node: str, given: Mapping[str, str], parameters: Mapping[str, Any]
    ) -> Made | None:
        """Return what a node should make of its inputs, None if it fails."""
        v = self.values
        if node == "Read":
            if not self.data:
                return None
            joined = v["joined"].join(text for _, text in sorted(self.data.items()))
            return Made(
                {"examples": joined}, (v["joined"], v["docstring"], sorted(self.data.items()))
            )
        if node == "Count":
            factor = parameters.get("factor", v["factor"])
            number = len(given["examples"]) * factor * v["scale"]
            texts = {"statistics": f"{number}{v['suffix']}", "output": str(number)}
            return Made(texts, (factor, v["scale"], v["suffix"], v["beside"], given))
        if node == "Shuffle":
            return Made({}, given)
        if node == "Use":
            made = given["schema"] + v["suffix"]
            return Made({"output": made}, (v["suffix"], v["beside"], given))
        if node == "Train":
            if v["not_python"]:
                return None
            steps = parameters.get("steps", 5)
            words = v["word"] + given["examples"] * (steps % 3 + 1)
            statistics = given["statistics"] if v["is_wired"] else "nothing"
            because = (steps, v["word"], v["names"], v["prefix"], v["module_file"], v["is_wired"])
            known = dict(given) if v["is_wired"] else {"examples": given["examples"]}
            return Made(
                {"model": f"{words} {statistics} {v['names']}{v['prefix']}"}, (because, known)
            )
        if node == "Compare":
            if v["broken"] != "pass":
                return None
            return Made({"output": f"{given['previous']}>{given['model']}"}, given)
        if node == "Publish":
            return Made({"pushed": f"{given['number']}:{given['model']}"}, given)
        assert node == "Announce"
        return Made({"output": v["said"] + given["pushed"]}, (v["said"], given))


def read_text(uri: str) -> str:
    """Return the text in an artifact: a folder with one, or a value."""
    path = Path(uri)
    return (path / "text" if path.is_dir() else path).read_text()


def change(uri: str, how: str) -> None:
    """Do something to an artifact behind the back of everybody."""
    path = Path(uri)
    file = path / "text" if path.is_dir() else path
    if how == "touch":
        os.utime(file, (0, 0))
    elif how == "remove":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        file.write_text(file.read_text() + "?")


def digest(because: Any) -> str:
    """Return a name for a reason."""
    return hashlib.sha256(json.dumps(because, sort_keys=True).encode()).hexdigest()
