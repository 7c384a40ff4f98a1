"""Plan and run say the same, and the cache gives what running anew would give, over random edits.

More of them: PENSTOCK_EDITS=500 PENSTOCK_EDITS_SEED=7 pytest (this file).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock_support.changing_project import INPUTS, Made, Project, change, digest, read_text
from penstock_support.sessions import Sessions

EDITS = int(os.environ.get("PENSTOCK_EDITS", "24"))
SEED = int(os.environ.get("PENSTOCK_EDITS_SEED", "3"))

NODES = list(INPUTS)
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "joined": ("+", "-"),
    "scale": (1, 2),
    "unused": ("a", "b", "c"),
    "docstring": ("files", "all files"),
    "prefix": ("", "."),
    "suffix": ("!", "?"),
    "beside": ("a", "b"),
    "said": ("said ", "shouted "),
    "word": ("w", "v"),
    "names": ("n", "m"),
    "factor": (1, 2, 3),
    "is_wired": (True, False),
    "count_cache": (True, False),
    "shuffle_cache": (True, False),
    "module_file": ("words.py", "other_words.py"),
    "threshold": (0, 6, 1000),
    "broken": ("pass", "raise ValueError('broken')"),
    "not_python": ("", "def = 1"),
}
GIVEN: Mapping[str, tuple[Any, ...]] = {
    "steps": (5, 6, 8),  # 5 and 8 make the same
    "factor": (1, 2),
}
FILES = (
    "pipeline.py",
    "first_steps.py",
    "second_steps.py",
    "texts.py",
    "announcing.py",
    "words.py",
)
STATES = {
    "CACHED": {"CACHED"},
    "REUSED": {"CACHED"},
    "RUNS": {"DONE"},
    "DEPENDS": {"CACHED", "DONE", "FAILED", "SKIPPED"},
    "LOOKS_UP": {"DONE"},
    "SKIPPED": {"SKIPPED"},
    "FAILS": {"FAILED"},
}


class History:
    """The test's own idea of a cache: what was made, because of what."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], list[dict[str, str]]] = {}

    def has(self, node: str, made: Made) -> bool:
        return any(map(_intact, self._made.get((node, digest(made.because)), ())))

    def add(self, node: str, made: Made, outputs: Mapping[str, list[str]]) -> None:
        texts = {uri: read_text(uri) for uris in outputs.values() for uri in uris}
        self._made.setdefault((node, digest(made.because)), []).append(texts)

    def outputs(self) -> list[str]:
        found = [uri for made in self._made.values() for texts in made for uri in texts]
        return [uri for uri in found if os.path.exists(uri)]


def _intact(texts: Mapping[str, str]) -> bool:
    return all(os.path.exists(uri) and read_text(uri) == text for uri, text in texts.items())


class Story:
    """A project's life: edits, and after each a plan and a run."""

    def __init__(self, folder: Path, sessions: Sessions, seed: int) -> None:
        self.random = random.Random(seed)
        self.project = Project(folder)
        self.sessions = sessions
        self.history = History()
        self.given: dict[str, Any] = {}
        self.earlier: list[dict[str, Any]] = []
        self.told: list[str] = []

    def edit(self) -> dict[str, Any]:
        """Change something, and return the options of the run that follows."""
        edits: list[tuple[int, Callable[[], Any]]] = [
            (3, self._comment),
            (1, self._format),
            (12, self._change_code),
            (3, self._revert),
            (5, self._give),
            (7, self._change_data),
            (5, self._harm),
            (1, lambda: {"cache": False}),
            (3, self._choose_nodes),
            (2, lambda: None),
        ]
        weights, actions = zip(*edits, strict=True)
        options: dict[str, Any] = {}
        for action in self.random.choices(actions, weights, k=self.random.choice((1, 1, 1, 2))):
            options = action() or options
        self.project.write()
        self.told.append(f"run with {options} {self.given}")
        return options

    def _tell(self, what: str) -> None:
        self.told.append(what)

    def _comment(self) -> None:
        file = self.random.choice(FILES)
        self.project.comments[file] = f"# note {self.random.random()}"
        self._tell(f"comment in {file}")

    def _format(self) -> None:
        self.project.formatting = not self.project.formatting
        self._tell("formatting")

    def _change_code(self) -> None:
        values = self.project.values
        self.earlier.append(dict(values))
        for name in ("broken", "not_python"):
            values[name] = CHOICES[name][0]
        name = self.random.choice(list(CHOICES))
        values[name] = self.random.choice([c for c in CHOICES[name] if c != values[name]])
        self._tell(f"{name} becomes {values[name]!r}")

    def _revert(self) -> None:
        if self.earlier:
            self.project.values = dict(self.random.choice(self.earlier))
            self._tell("an earlier text")

    def _give(self) -> None:
        name = self.random.choice(list(GIVEN))
        if name in self.given and self.random.random() < 0.3:
            del self.given[name]
        else:
            self.given[name] = self.random.choice(GIVEN[name])
        self._tell(f"parameters {self.given}")

    def _change_data(self) -> None:
        data = self.project.data
        what = self.random.choice(("change", "change back", "touch", "rename", "add", "empty"))
        if what == "empty" or not data:
            data.clear()
            if what != "empty":
                data["a.txt"] = "one"
        elif what == "change":
            data[self.random.choice(list(data))] = self.random.choice(("three", "two", "four"))
        elif what == "change back":
            data.update({"a.txt": "one", "b.txt": "two"})
        elif what == "rename":
            # Joined in another order, or in the same.
            data[self.random.choice(("0.txt", "c.txt"))] = data.pop(self.random.choice(list(data)))
        elif what == "add":
            data[self.random.choice(("d.txt", "e.txt"))] = "five"
        self.project.write_data()
        self._tell(f"{what} data: {data}")

    def _harm(self) -> None:
        outputs = self.history.outputs()
        if outputs:
            uri = self.random.choice(outputs[-20:])
            how = self.random.choice(("touch", "remove", "alter"))
            change(uri, how)
            self._tell(f"{how} {uri}")

    def _choose_nodes(self) -> dict[str, Any]:
        how = self.random.choice(("only", "from_nodes", "to_nodes"))
        return {how: [self.random.choice(NODES)]}

    def plan_and_run(self, **options: Any) -> None:
        """Plan and run, and compare both with each other and with what is expected."""
        request = {"pipeline": "lines", "parameters": self.given, **options}
        planned = self.sessions.ask("plan", **request)
        result = self.sessions.ask("run", **request)
        for node, (verdict, reasons) in planned.items():
            state = result[node]["state"]
            # What a body raises is known when it runs.
            may_raise = {"FAILED"} if verdict == "RUNS" and node == "Compare" else set()
            assert state in STATES[verdict] | may_raise, (node, verdict, reasons, result[node])
            assert reasons or verdict in ("CACHED", "REUSED"), node
        for node in NODES:
            verdict = planned[node][0]
            if verdict != "REUSED" and not self._is_left_out(planned, node):
                self._check(node, planned, result, cache=options.get("cache", True))

    def _is_left_out(self, planned: Mapping[str, Any], node: str) -> bool:
        return "it was not asked for" in planned[node][1]

    def _check(
        self, node: str, planned: Mapping[str, Any], result: Mapping[str, Any], *, cache: bool
    ) -> None:
        state, outputs = result[node]["state"], result[node]["outputs"]
        where = (node, planned[node], result[node])
        given = self._inputs(node, result)
        if given is None:
            # A producer that is left out and has nothing to lend counts as failed.
            assert state in ("SKIPPED", "FAILED"), where
            return
        if node == "Publish" and int(given["number"]) <= self.project.values["threshold"]:
            assert state == "SKIPPED", where
            return
        made = self.project.expected(node, given, self.given)
        if made is None or "gone" in given.values():
            assert state == "FAILED", where
            return
        may_use = cache and not self.project.has_no_cache(node)
        is_known = may_use and self.history.has(node, made)
        assert state == ("CACHED" if is_known else "DONE"), where
        for key, text in made.texts.items():
            assert [read_text(uri) for uri in outputs[key]] == [text], where
        if state == "DONE":
            self.history.add(node, made, outputs)

    def _inputs(self, node: str, result: Mapping[str, Any]) -> dict[str, str] | None:
        """Return the texts that a node was given; None if what it needs was not made."""
        given = {}
        for key, (producer, output) in INPUTS[node].items():
            is_optional = (node, key) in (("Train", "statistics"), ("Compare", "previous"))
            if key == "statistics" and not self.project.values["is_wired"]:
                continue
            if result[producer]["state"] not in ("DONE", "CACHED"):
                return None
            uris = result[producer]["outputs"].get(output, [])
            if not uris and not is_optional:
                return None
            given[key] = "nothing"
            if uris:
                given[key] = read_text(uris[0]) if os.path.exists(uris[0]) else "gone"
        return given


@pytest.fixture
def sessions(tmp_path):
    opened = Sessions(tmp_path)
    yield opened
    opened.close()


def test_plan_and_cache_are_right_over_random_edits(tmp_path, sessions):
    story = Story(tmp_path, sessions, SEED)
    story.project.write()
    story.project.write_data()
    story.plan_and_run()
    for number in range(EDITS):
        options = story.edit()
        try:
            story.plan_and_run(**options)
        except AssertionError as error:
            told = "\n".join(story.told[-30:])
            raise AssertionError(f"after {number + 1} edits of seed {SEED}:\n{told}") from error
