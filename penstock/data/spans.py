"""Spans and versions of file inputs: from patterns with specs to concrete files.

`{SPAN}` and `{VERSION}`, with or without a width (`{SPAN:4}`), and `{YYYY}`, `{MM}`, `{DD}` mean
what they mean in TFX: a date is the span of days since 1970-01-01, and the latest version of the
latest span is read. Beyond TFX, a range may hold several spans; they are read together, and the
span of the result is the last one.
"""

from __future__ import annotations

import contextlib
import datetime
import difflib
import functools
import glob
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.data.data_files import is_data
from penstock.data.files import remote
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import DataError, ParameterError

_EPOCH = datetime.date(1970, 1, 1)
_SPEC = re.compile(r"\{(SPAN|VERSION)(?::([^}]*))?\}|\{(YYYY|MM|DD)\}")
_DATE_WIDTHS = {"YYYY": 4, "MM": 2, "DD": 2}
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class StaticRange:
    """Spans from start to end, both included."""

    start_span_number: int = 0
    end_span_number: int = 0


@dataclass(frozen=True)
class RollingRange:
    """The last `num_spans` span numbers up to the latest, none before `start_span_number`."""

    start_span_number: int = 0
    num_spans: int = 1


@dataclass(frozen=True)
class RangeConfig:
    """Which spans to read, in one of two ways; the fields are those of TFX's `RangeConfig`."""

    static_range: StaticRange | None = None
    rolling_range: RollingRange | None = None


@dataclass(frozen=True)
class ResolvedSplit:
    """An input split and its files, sorted, spans in ascending order."""

    name: str
    pattern: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class ResolvedInput:
    """What an input configuration means on disk.

    `span` is the last span that is read, 0 where patterns have no span; `version` the version
    of that span, None where patterns have no version.
    """

    span: int
    version: int | None
    splits: tuple[ResolvedSplit, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All files of all splits, each once."""
        return tuple(dict.fromkeys(file for split in self.splits for file in split.files))


@dataclass(frozen=True)
class FoundSpan:
    """A span that is there, in one version.

    `files` is how many it has, `changed` when one was last written, in seconds since the epoch,
    and `fingerprint` changes with them: with names, sizes, and times or what a store has for them.
    """

    span: int
    version: int | None
    files: int
    changed: float
    fingerprint: str


@dataclass(frozen=True)
class _Match:
    span: int
    version: int | None
    path: str


def date_to_span(year: int, month: int, day: int) -> int:
    """Return the span of a date: days since 1970-01-01."""
    return (datetime.date(year, month, day) - _EPOCH).days


def span_to_date(span: int) -> datetime.date:
    """Return the date of a span."""
    return _EPOCH + datetime.timedelta(days=span)


def find_spans(pattern: str, base: str = "") -> list[FoundSpan]:
    """Return all spans and versions that a path or URL with specs names, in their order.

    What it names may be files, or folders with data files in them. A relative path counts from the
    folder `base`.

    Raises:
      ParameterError: the pattern has no span, or makes no sense.
      DataError: a name has something else where a number should be.
      StorageError: the object store cannot be reached or does not let us in.
    """
    kind, _ = specs(InputSplit("", pattern))
    if kind is None:
        raise ParameterError(
            f"the pattern {pattern!r} has no span",
            hint="Put {SPAN}, or {YYYY}, {MM} and {DD}, into it.",
        )
    base, inside = _parted(pattern, base)
    regex = re.compile(f"(?:{_pattern_regex(inside).pattern})(?:/.*)?")
    found: dict[tuple[int, int | None], list[_File]] = {}
    for file in _files_that_fit(base, inside, regex):
        fits = regex.fullmatch(file[0])
        if fits and is_data(file[0]):
            match = _match(file[0], "", pattern, fits.groupdict())
            found.setdefault((match.span, match.version), []).append(file)
    return [
        FoundSpan(*key, len(files), max(file[3] for file in files), _fingerprint(files))
        for key, files in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or 0))
    ]


def is_of_dates(pattern: str) -> bool:
    """Whether the spans of a pattern are dates."""
    return specs(InputSplit("", pattern))[0] == "date"


# Name, size, version and time of the last change.
_File = tuple[str, int, str, float]


def _parted(pattern: str, base: str) -> tuple[str, str]:
    """Return the folder or bucket from which a pattern counts, and the rest of it."""
    if remote.is_remote(pattern):
        scheme, _, rest = pattern.partition("://")
        bucket, _, inside = rest.partition("/")
        return f"{scheme}://{bucket}", inside
    pattern = os.path.normpath(pattern)
    return ("/", pattern.lstrip("/")) if os.path.isabs(pattern) else (base or ".", pattern)


def _files_that_fit(base: str, pattern: str, regex: re.Pattern[str]) -> Iterator[_File]:
    if remote.is_remote(base):
        for file in remote.glob_files(base, pattern, regex):
            yield file.name, file.size, file.version, file.modified
        return
    for found in glob.iglob(os.path.join(glob.escape(base), _SPEC.sub("*", pattern))):
        inside = glob.iglob(os.path.join(glob.escape(found), "**"), recursive=True)
        for path in inside if os.path.isdir(found) else [found]:
            # Between listing a file and looking at it, it may have been renamed.
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                if not stat.S_ISDIR(status.st_mode):
                    name = os.path.relpath(path, base).replace(os.sep, "/")
                    yield name, status.st_size, "", status.st_mtime


def _fingerprint(files: Iterable[_File]) -> str:
    described = [[name, size, version or changed] for name, size, version, changed in files]
    return hashlib.sha256(json.dumps(sorted(described)).encode()).hexdigest()[:16]


def resolve_input(
    input_base: str,
    input_config: InputConfig,
    range_config: RangeConfig | None = None,
    *,
    last_span: int | None = None,
    last_version: int | None = None,
) -> ResolvedInput:
    """Find the files that an input configuration means, locally or in an object store.

    `last_span` and `last_version` hold on to an earlier answer: later spans, and later versions
    of that span, are not looked at.

    Raises:
      ParameterError: patterns or range do not make sense.
      DataError: there is no folder, or a pattern matches nothing in it, or the splits do not have
        the same latest span and version.
    """
    kinds = [specs(split) for split in input_config.splits]
    if len(set(kinds)) > 1:
        patterns = ", ".join(repr(split.pattern) for split in input_config.splits)
        raise ParameterError(
            f"all input splits need the same span and version specs, got {patterns}"
        )
    has_span = bool(kinds) and kinds[0][0] is not None
    _check_range(range_config, has_span, input_config)
    if not remote.is_remote(input_base) and not os.path.isdir(input_base):
        raise DataError(
            "the input folder does not exist", path=input_base, hint=_near_folder(input_base)
        )
    if not has_span:
        splits = tuple(
            ResolvedSplit(s.name, s.pattern, _plain_files(input_base, s))
            for s in input_config.splits
        )
        return ResolvedInput(0, None, splits)
    windows = [
        _window(input_base, split, range_config, last_span, last_version)
        for split in input_config.splits
    ]
    _check_aligned(input_base, input_config, windows)
    last = windows[0][-1]
    splits = tuple(
        ResolvedSplit(split.name, split.pattern, tuple(match.path for match in matches))
        for split, matches in zip(input_config.splits, windows, strict=True)
    )
    return ResolvedInput(last.span, last.version, splits)


def specs(split: InputSplit) -> tuple[str | None, bool]:
    """Return how a pattern names its span ('span', 'date' or None), and if it has a version.

    Raises:
      ParameterError: specs are incomplete, repeated, mixed, or have a width that is no number.
    """
    names = []
    for span_or_version, width, date in _SPEC.findall(split.pattern):
        names.append(span_or_version or date)
        if width and not (width.isdecimal() and int(width) > 0):
            raise ParameterError(
                f"pattern {split.pattern!r}: the width of {{{span_or_version}}} must be a positive "
                f"number, got {width!r}"
            )
    dates = [name for name in names if name in _DATE_WIDTHS]
    if "SPAN" in names and dates:
        raise ParameterError(
            f"pattern {split.pattern!r}: expected either {{SPAN}} or {{YYYY}}, {{MM}} and {{DD}}"
        )
    for name in ("SPAN", "VERSION"):
        if names.count(name) > 1:
            raise ParameterError(f"pattern {split.pattern!r}: {{{name}}} may come only once")
    if dates and sorted(dates) != sorted(_DATE_WIDTHS):
        raise ParameterError(
            f"pattern {split.pattern!r}: {{YYYY}}, {{MM}} and {{DD}} must each come exactly once"
        )
    kind = "span" if "SPAN" in names else "date" if dates else None
    if "VERSION" in names and kind is None:
        raise ParameterError(
            f"pattern {split.pattern!r}: {{VERSION}} needs {{SPAN}} or a date beside it"
        )
    return kind, "VERSION" in names


def _check_range(
    range_config: RangeConfig | None, has_span: bool, input_config: InputConfig
) -> None:
    if range_config is None:
        return
    static, rolling = range_config.static_range, range_config.rolling_range
    if (static is None) == (rolling is None):
        raise ParameterError("range_config needs either static_range or rolling_range")
    if not has_span:
        patterns = ", ".join(repr(split.pattern) for split in input_config.splits)
        raise ParameterError(
            f"range_config chooses spans, but the pattern {patterns} has no span",
            hint="Put {SPAN}, or {YYYY}, {MM} and {DD}, into the pattern.",
        )
    if static is not None and static.start_span_number > static.end_span_number:
        raise ParameterError(
            f"static_range starts at span {static.start_span_number}, after its end "
            f"{static.end_span_number}"
        )
    if rolling is not None and rolling.num_spans < 1:
        raise ParameterError(f"rolling_range.num_spans must be at least 1, got {rolling.num_spans}")


def _plain_files(base: str, split: InputSplit) -> tuple[str, ...]:
    files = tuple(sorted(path for _, path in _candidates(base, split.pattern)))
    if not files:
        raise _nothing_matches(base, split)
    return files


def _candidates(base: str, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield name and path of the data files that a pattern could mean, specs being wildcards."""
    if remote.is_remote(base):
        files = remote.glob_files(base, pattern, _pattern_regex(pattern))
        names = [(file.name, file.url) for file in files]
    else:
        wildcards = os.path.join(glob.escape(base), _SPEC.sub("*", pattern))
        paths = filter(os.path.isfile, glob.glob(wildcards))
        names = [(os.path.relpath(path, base).replace(os.sep, "/"), path) for path in paths]
    for name, path in names:
        if is_data(name):
            yield name, path


def _window(
    base: str,
    split: InputSplit,
    range_config: RangeConfig | None,
    last_span: int | None,
    last_version: int | None,
) -> list[_Match]:
    """Return the files of the chosen spans, each span in one version, the last span last."""
    matches = _matches(base, split)
    if not matches:
        raise _nothing_matches(base, split)
    spans = sorted({match.span for match in matches})
    if last_span is not None:
        matches = [match for match in matches if match.span <= last_span]
        if last_version is not None:
            matches = [
                m for m in matches if m.span != last_span or (m.version or 0) <= last_version
            ]
    start, end = _bounds(range_config, [match.span for match in matches])
    latest: dict[int, int] = {}
    for match in matches:
        latest[match.span] = max(latest.get(match.span, -1), match.version or 0)
    chosen = [m for m in matches if start <= m.span <= end and (m.version or 0) == latest[m.span]]
    if not chosen:
        wanted = f"span {start}" if start == end else f"spans {start} to {end}"
        raise DataError(
            f"input split {split.name!r}: expected {wanted}, found {_span_list(spans)} with the "
            f"pattern {split.pattern!r}",
            path=base,
        )
    return sorted(chosen, key=lambda match: (match.span, match.path))


def _bounds(range_config: RangeConfig | None, spans: list[int]) -> tuple[int, int]:
    latest = max(spans, default=0)
    if range_config is None:
        return latest, latest
    if range_config.static_range is not None:
        return (
            range_config.static_range.start_span_number,
            range_config.static_range.end_span_number,
        )
    rolling = range_config.rolling_range or RollingRange()
    return max(latest - rolling.num_spans + 1, rolling.start_span_number), latest


def _span_list(spans: list[int]) -> str:
    if len(spans) == 1:
        return f"span {spans[0]}"
    if len(spans) <= _SHOWN_NAMES:
        return f"spans {', '.join(map(str, spans))}"
    return f"{len(spans)} spans from {spans[0]} to {spans[-1]}"


def _matches(base: str, split: InputSplit) -> list[_Match]:
    regex = _pattern_regex(split.pattern)
    matches = []
    for name, path in _candidates(base, split.pattern):
        match = regex.fullmatch(name)
        if match:
            where = f"input split {split.name!r}: "
            matches.append(_match(path, where, split.pattern, match.groupdict()))
    return matches


@functools.cache
def _pattern_regex(pattern: str) -> re.Pattern[str]:
    pattern = os.path.normpath(pattern)
    parts, position = [], 0
    for spec in _SPEC.finditer(pattern):
        parts.append(_glob_regex(pattern[position : spec.start()]))
        name, width = spec.group(1) or spec.group(3), spec.group(2)
        digits = int(width) if width else _DATE_WIDTHS.get(name)
        # As in TFX what stands there is looked at afterwards, so that a wrong name is an error.
        parts.append(f"(?P<{name}>[^/]{{{digits}}})" if digits else f"(?P<{name}>[^/]*)")
        position = spec.end()
    parts.append(_glob_regex(pattern[position:]))
    return re.compile("".join(parts))


def _glob_regex(pattern: str) -> str:
    parts = []
    for piece in re.split(r"(\*|\?|\[!?\]?[^\]]*\])", pattern):
        if piece in ("*", "?"):
            parts.append("[^/]*" if piece == "*" else "[^/]")
        elif piece.startswith("["):
            parts.append(piece.replace("[!", "[^", 1))
        else:
            parts.append(re.escape(piece))
    return "".join(parts)


def _match(path: str, where: str, pattern: str, values: dict[str, str]) -> _Match:
    numbers = {}
    for name, text in values.items():
        if not (text.isascii() and text.isdecimal()):
            raise DataError(
                f"{where}expected a number for {{{name}}} of the pattern {pattern!r}, found "
                f"{text!r}",
                path=path,
                hint="Rename the file, or make the pattern narrower.",
            )
        numbers[name] = int(text)
    if "SPAN" in numbers:
        return _Match(numbers["SPAN"], numbers.get("VERSION"), path)
    try:
        span = date_to_span(numbers["YYYY"], numbers["MM"], numbers["DD"])
    except ValueError as error:
        raise DataError(
            f"{where}expected a date for the pattern {pattern!r}: {error}",
            path=path,
        ) from error
    return _Match(span, numbers.get("VERSION"), path)


def _check_aligned(base: str, input_config: InputConfig, windows: list[list[_Match]]) -> None:
    for what in ("span", "version"):
        latest = [getattr(matches[-1], what) for matches in windows]
        if len(set(latest)) > 1:
            latest_of_splits = ", ".join(
                f"{split.name!r} has {number}"
                for split, number in zip(input_config.splits, latest, strict=True)
            )
            raise DataError(
                f"all input splits must have the same latest {what}: {latest_of_splits}",
                path=base,
                hint="Complete the missing files, or choose a span with range_config.",
            )


def _nothing_matches(base: str, split: InputSplit) -> DataError:
    names = sorted(filter(is_data, _all_names(base)))
    if not names:
        return DataError("the input folder is empty", path=base, hint="Put the data files there.")
    return DataError(
        f"input split {split.name!r}: nothing matches the pattern {split.pattern!r}",
        path=base,
        hint=f"There is: {_near_names(split.pattern, names)}.",
    )


def _all_names(base: str) -> Iterator[str]:
    if remote.is_remote(base):
        yield from (file.name for file in remote.list_files(base))
        return
    for folder, _, files in os.walk(base):
        for file in files:
            yield os.path.relpath(os.path.join(folder, file), base).replace(os.sep, "/")


def _near_names(pattern: str, names: list[str]) -> str:
    near = difflib.get_close_matches(pattern, names, n=_SHOWN_NAMES, cutoff=0.3)
    listed = near or names[:_SHOWN_NAMES]
    more = len(names) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")


def _near_folder(folder: str) -> str | None:
    parent = os.path.dirname(os.path.abspath(folder))
    if not os.path.isdir(parent):
        return f"{parent} does not exist either."
    siblings: Iterable[str] = (entry.name for entry in os.scandir(parent) if entry.is_dir())
    near = difflib.get_close_matches(os.path.basename(os.path.abspath(folder)), list(siblings), 1)
    return f"Did you mean {os.path.join(parent, near[0])}?" if near else None
