"""What a git repository knows of a project: its commits, what differs from one, and its files.

Nothing is changed in the repository, and nothing of its own is run: neither hooks nor a monitor of
files. Filters of files are, since without them an encrypted file would be no code.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.errors import ConfigError, PenstockError

# No pipeline is made of larger files: data and models that somebody has committed.
_LARGEST_BYTES = 10_000_000
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
_OF_A_HOOK = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
)
_SUBMODULE = "160000"


@dataclass(frozen=True)
class Base:
    """The commit that a change began from: `name` is what was asked for, `note` what came of it."""

    name: str
    commit: str
    note: str = ""


@dataclass(frozen=True)
class FileChanges:
    """Which files differ between a commit and the working tree, from the repository's top.

    `renames` has the earlier name of each file that was renamed, `moved` those with all as it was.
    """

    changed: frozenset[str] = frozenset()
    renames: Mapping[str, str] = field(default_factory=dict)
    moved: frozenset[str] = frozenset()
    is_dirty: bool = False


@dataclass(frozen=True)
class Repository:
    """The git repository around a folder; `top` is the working tree's."""

    top: Path

    def git(
        self, *arguments: str, check: bool = True, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run git and return what it writes; without `check`, "" where it fails.

        Raises:
          ConfigError: git refuses, in its own words.
        """
        written = self.git_bytes(*arguments, check=check, variables=variables)
        return written.decode("utf-8", "surrogateescape")

    def git_bytes(
        self,
        *arguments: str,
        check: bool = True,
        content: bytes = b"",
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run git with `content` as its input, and return what it writes, unread."""
        done = _run(self.top, arguments, content, variables or {})
        if check and done.returncode:
            raise _refusal(self.top, arguments, done)
        return done.stdout if not done.returncode else b""

    @property
    def is_shallow(self) -> bool:
        """Whether it has only the newest commits."""
        return self.git("rev-parse", "--is-shallow-repository").strip() == "true"

    def head(self) -> str:
        """Return the commit that is checked out, "" before the first."""
        return self.git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False).strip()

    def is_dirty(self, folder: Path) -> bool:
        """Whether something in a folder is not committed as it is."""
        return bool(self.git("status", "--porcelain", "--", str(folder)).strip())

    def base(self, name: str) -> Base:
        """Return the commit at which this tree's history leaves that of a branch, tag or commit.

        Raises:
          ConfigError: there is no such commit in this clone.
        """
        commit = self.git(
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            f"{name}^{{commit}}",
            check=False,
        ).strip()
        if not commit:
            raise self._absent(name)
        self._require(name, commit)
        if not self.head():
            return Base(name, commit)
        together = self.git("merge-base", commit, "HEAD", check=False).strip()
        if together == commit:
            return Base(name, commit)
        if not together:
            why = "this clone is shallow" if self.is_shallow else "there is none"
            return Base(
                name,
                commit,
                f"compared with {name} itself: which commit it has in common with this branch is "
                f"not known, since {why}",
            )
        self._require(name, together)
        return Base(
            name, together, f"compared with {together[:10]}, where this branch has left {name}"
        )

    def _require(self, name: str, commit: str) -> None:
        """Check that a commit's tree is here: a clone may know no more than its name."""
        if not self.git("cat-file", "-t", f"{commit}^{{tree}}", check=False):
            raise self._absent(name)

    def _absent(self, name: str) -> ConfigError:
        remotes = self.git("remote", check=False).split() or ["origin"]
        remote = name.partition("/")[0] if name.partition("/")[0] in remotes else remotes[0]
        wanted = name.removeprefix(f"{remote}/")
        shallow = self.is_shallow
        target = wanted if wanted == name else f"{wanted}:refs/remotes/{name}"
        depth = "--depth=1 " if shallow else ""
        return ConfigError(
            f"the commit {name!r} is not in this {'shallow clone' if shallow else 'repository'}",
            path=str(self.top),
            hint=f"Fetch it: git fetch {depth}{remote} {target}",
        )

    def changes_since(self, commit: str) -> FileChanges:
        """Return what differs between a commit and the working tree, new files included."""
        listed = self.git("diff", "--no-ext-diff", "--name-status", "-M", "-z", commit, "--")
        parts = iter(listed.split("\0"))
        changed: set[str] = set()
        renames: dict[str, str] = {}
        moved: set[str] = set()
        for status in parts:
            if not status:
                continue
            path = next(parts)
            changed.add(path)
            if status[0] in "RC":
                new = next(parts)
                changed.add(new)
                if status[0] == "R":
                    renames[new] = path
                    moved |= {new} if status == "R100" else set()
        new_files = self.git("ls-files", "--others", "--exclude-standard", "-z").split("\0")
        changed |= {path for path in new_files if path}
        head = self.head()
        is_dirty = any(new_files) or bool(head and self.git("diff", "--name-only", "HEAD", "--"))
        return FileChanges(frozenset(changed), renames, frozenset(moved), is_dirty)

    def read_file(self, commit: str, path: str) -> bytes | None:
        """Return a file of a commit, None if it is not there."""
        name = f"{commit}:{path}"
        if not self.git("cat-file", "-t", name, check=False):
            return None
        return self.git_bytes("cat-file", "blob", name)

    def extract(self, commit: str, folder: Path) -> list[str]:
        """Write a commit's files below a folder, and return what could not be written, in words."""
        folder.mkdir(parents=True, exist_ok=True)
        entries, submodules, large = [], [], []
        for line in self.git_bytes("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0"):
            if not line:
                continue
            details, _, path = line.partition(b"\t")
            mode, kind, digest, size = details.decode().split()
            if mode == _SUBMODULE:
                submodules.append((os.fsdecode(path), digest))
            elif size.isdigit() and int(size) > _LARGEST_BYTES:
                large.append(os.fsdecode(path))
            else:
                entries.append(f"{mode} {kind} {digest}\t".encode() + path)
        listing = b"".join(entry + b"\0" for entry in entries)
        with tempfile.TemporaryDirectory(prefix="penstock-index-") as scratch:
            index = {"GIT_INDEX_FILE": os.path.join(scratch, "index"), "GIT_LFS_SKIP_SMUDGE": "1"}
            self.git_bytes("update-index", "-z", "--index-info", content=listing, variables=index)
            prefix = f"--prefix={folder}{os.sep}"
            self.git("checkout-index", "--all", "--force", prefix, variables=index)
        notes = _left_out(large)
        for name, digest in submodules:
            notes += self._extract_submodule(name, digest, folder / name)
        return notes

    def _extract_submodule(self, path: str, commit: str, folder: Path) -> list[str]:
        place = self.top / path
        known = (place / ".git").exists() and Repository(place)
        if not known or not known.git("cat-file", "-t", f"{commit}^{{tree}}", check=False):
            return [
                f"the submodule {path} is not here as it was ({commit[:10]}): git submodule update "
                "--init, or git fetch in it"
            ]
        return known.extract(commit, folder)


def _left_out(large: list[str]) -> list[str]:
    if not large:
        return []
    more = f" and {len(large) - 3} more" if len(large) > 3 else ""
    named = f"{', '.join(large[:3])}{more}"
    size = f"{_LARGEST_BYTES // 1_000_000} MB"
    return [f"files of more than {size} were left out, as no code is that large: {named}"]


def find_repository(folder: Path) -> Repository:
    """Return the repository that a folder is in.

    Raises:
      ConfigError: it is in none, or git is not installed.
    """
    done = _run(folder, ("rev-parse", "--show-toplevel"), b"", {})
    top = os.fsdecode(done.stdout).removesuffix("\n")
    if done.returncode or not top:
        if b"not a git repository" in done.stderr or not done.stderr.strip():
            raise ConfigError(
                "expected a git repository with a working tree",
                path=str(folder),
                hint="Changes are told from commits: git init, and commit what is to be compared "
                "with.",
            )
        raise _refusal(folder, ("rev-parse",), done)
    return Repository(Path(top).resolve())


def top_of(folder: Path) -> Path:
    """Return the top of the repository around a folder, or the folder where there is none."""
    try:
        return find_repository(folder).top
    except ConfigError:
        return folder


def _run(
    folder: Path, arguments: tuple[str, ...], content: bytes, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    # In a hook git's variables name a repository and an index, which need not be this folder's.
    outer = {k: v for k, v in os.environ.items() if k not in _OF_A_HOOK}
    environment = {**outer, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", *_QUIET, *arguments],
            cwd=folder,
            env={**environment, **variables},
            input=content,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise PenstockError(
            "git is not installed, and says what has changed", hint="Install git."
        ) from error


def _is_of_git(variable: str) -> bool:
    names = (
        "DIR",
        "WORK_TREE",
        "INDEX_FILE",
        "OBJECT_DIRECTORY",
        "PREFIX",
        "COMMON_DIR",
        "NAMESPACE",
    )
    return variable.startswith("GIT_") and variable.removeprefix("GIT_") in names


def _refusal(
    folder: Path, arguments: tuple[str, ...], done: subprocess.CompletedProcess[bytes]
) -> ConfigError:
    said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
    return ConfigError(f"git {arguments[0]} failed: {said}", path=str(folder))
