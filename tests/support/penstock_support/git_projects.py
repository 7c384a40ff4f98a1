"""A small project in a git repository of its own, to be changed and compared."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

FILES = {
    "penstock.toml": '[pipelines]\nlines = "pipeline.py:lines"\ncounts = "counts.py:counts"\n',
    "pipeline.py": """
from pathlib import Path

from penstock import pipeline
from penstock.components import ImportSchemaGen
from steps import Count, Fit, Judge, Load, Prepare

FOLDER = Path(__file__).parent


@pipeline
def lines(steps: int = 5):
    load = Load(folder=str(FOLDER / "data"))
    rows = load.outputs["output"].future()[0].value
    schema = ImportSchemaGen(schema_file=str(FOLDER / "schema.pbtxt"))
    prepare = Prepare(rows=rows)
    fit = Fit(rows=prepare.outputs["output"].future()[0].value, steps=steps)
    judge = Judge(score=fit.outputs["output"].future()[0].value)
    count = Count(rows=rows)
    return [schema, judge, count]
""",
    "counts.py": """
from penstock import pipeline
from steps import Count


@pipeline
def counts():
    return [Count(rows=3)]
""",
    "steps.py": """
from pathlib import Path

from penstock import component


@component
def Load(folder: str) -> int:
    return sum(len(path.read_text().splitlines()) for path in Path(folder).iterdir())


@component
def Prepare(rows: int) -> int:
    from preprocessing import prepared

    return prepared(rows)


@component
def Fit(rows: int, steps: int) -> int:
    return rows * steps


@component
def Judge(score: int) -> int:
    return int(score > 10)


@component
def Count(rows: int) -> int:
    return rows
""",
    "preprocessing.py": "def prepared(rows):\n    return rows + 1\n",
    "schema.pbtxt": 'feature {\n  name: "Age"\n  type: INT\n  presence { min_fraction: 0.9 }\n}\n',
    "data/one.csv": "Age\n1\n2\n",
    "requirements.txt": "# what it needs\nnumpy==1.26.0\npandas==2.1.0\n",
    ".gitignore": ".penstock/\n__pycache__/\n",
}


@dataclass(frozen=True)
class GitProject:
    """A project in `folder`, in the repository at `top`."""

    top: Path
    folder: Path

    def git(self, *arguments: str) -> str:
        """Run git as somebody, with no settings of this machine."""
        return git(self.top, *arguments)

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file of the project, where it has to be."""
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def commit(self) -> str:
        """Commit all that is there, and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")
        return self.git("rev-parse", "HEAD").strip()

    def state(self) -> dict[str, bytes]:
        """Return all files below the top but git's own objects and logs, and what they hold."""
        return {
            str(path.relative_to(self.top)): path.read_bytes()
            for path in sorted(self.top.rglob("*"))
            if path.is_file()
        }


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody, with no settings of this machine."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    settings = (
        "user.name=Somebody",
        "user.email=somebody@example.org",
        "protocol.file.allow=always",
    )
    done = subprocess.run(
        ["git", *(part for setting in settings for part in ("-c", setting)), *arguments],
        cwd=folder,
        env={**variables, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def git_project(top: Path, folder: str = ".") -> GitProject:
    """Make a repository with a project in a folder of it, committed as `main`."""
    top.mkdir(parents=True, exist_ok=True)
    git(top, "init", "--quiet", "--initial-branch=main")
    project = GitProject(top, (top / folder).resolve())
    for name, text in FILES.items():
        project.write(name, text)
    project.commit()
    return project


LEARNING = {
    "penstock.toml": '[pipelines]\nages = "ages.py:ages"\n',
    "ages.py": """
from pathlib import Path

from penstock import pipeline
from penstock.components import CsvExampleGen, ImportSchemaGen, Pusher
from penstock.components.pusher.component import Filesystem, PushDestination
from learning import Learn

FOLDER = Path(__file__).parent


@pipeline
def ages(data: str = str(FOLDER / "data"), at_least: int = 1):
    examples = CsvExampleGen(input_base=data)
    schema = ImportSchemaGen(schema_file=str(FOLDER / "schema.pbtxt"))
    learn = Learn(examples=examples.outputs["examples"], at_least=at_least)
    push = PushDestination(Filesystem(str(FOLDER / "serving")))
    pusher = Pusher(
        model=learn.outputs["model"],
        model_blessing=learn.outputs["blessing"],
        push_destination=push,
    )
    return [schema, pusher]
""",
    "learning.py": """
import json
from pathlib import Path

from penstock import Input, Output, component
from penstock.artifacts import Examples, Model, ModelBlessing
from penstock.data.splits import split_files


@component
def Learn(
    examples: Input[Examples],
    model: Output[Model],
    blessing: Output[ModelBlessing],
    at_least: int,
) -> int:
    from penstock.data.records import read_record_batches

    splits = ("train", "eval")
    rows = sum(
        batch.num_rows for s in splits for batch in read_record_batches(split_files(examples, s))
    )
    if not rows:
        raise ValueError("there is nothing to learn from")
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "rows.txt").write_text(str(rows))
    blessing.set_int_custom_property("blessed", int(rows >= at_least))
    if rows < at_least:
        blessing.set_string_custom_property("failures", json.dumps([f"only {rows} rows"]))
    return rows
""",
    "schema.pbtxt": 'feature {\n  name: "Age"\n  type: INT\n}\n',
    "data/one.csv": "Age,Name\n" + "".join(f'{n},"a\nb {n}"\n' for n in range(40)),
    ".gitignore": ".penstock/\n__pycache__/\nserving/\n",
}


def learning_project(top: Path) -> GitProject:
    """Make a repository with a project whose pipeline reads CSV, blesses and pushes a model."""
    top.mkdir(parents=True, exist_ok=True)
    git(top, "init", "--quiet", "--initial-branch=main")
    project = GitProject(top, top.resolve())
    for name, text in LEARNING.items():
        project.write(name, text)
    project.commit()
    return project
