"""Splits of an Examples artifact: where they are, and which record belongs to which.

The split of a record is TFX's: the SHA-256 of its key, modulo the sum of all hash buckets, looked
up in the cumulated buckets. The same data fall into the same splits here and in TFX.
"""

from __future__ import annotations

import bisect
import glob
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from penstock.data import data_files
from penstock.errors import DataError, ParameterError, suggestion
from penstock.safety import containment

T = TypeVar("T")

# Says in which files a split is, where it is not Split-X/*; the value is JSON, as in TFX.
CUSTOM_SPLIT_PATTERN = "custom_split_pattern"


@dataclass(frozen=True)
class InputSplit:
    """A named glob pattern relative to the input's folder; it may hold span specs."""

    name: str
    pattern: str


@dataclass(frozen=True)
class InputConfig:
    """What to read; the fields are those of TFX's `example_gen_pb2.Input`."""

    splits: tuple[InputSplit, ...] = (InputSplit("single_split", "*"),)


@dataclass(frozen=True)
class SplitBuckets:
    """A split to write and its share, in hash buckets."""

    name: str
    hash_buckets: int = 0


@dataclass(frozen=True)
class SplitConfig:
    """How records are distributed; the fields are those of TFX's `example_gen_pb2.SplitConfig`.

    The key of a record is all of it, or the feature `partition_feature_name` alone, which must
    hold bytes or integers.
    """

    splits: tuple[SplitBuckets, ...] = ()
    partition_feature_name: str | None = None


@dataclass(frozen=True)
class OutputConfig:
    """What to write; the field is that of TFX's `example_gen_pb2.Output`.

    Without splits the output has the splits of the input.
    """

    split_config: SplitConfig = SplitConfig()


DEFAULT_OUTPUT = OutputConfig(SplitConfig((SplitBuckets("train", 2), SplitBuckets("eval", 1))))


def split_names(artifact: Any) -> list[str]:
    """Return the names of an artifact's splits, in their order."""
    return list(json.loads(artifact.split_names)) if artifact.split_names else []


def encode_split_names(names: Iterable[str]) -> str:
    """Return split names as the `split_names` property has them."""
    return json.dumps(list(names))


def split_directory(uri: str, split: str) -> str:
    """Return the folder of a split.

    Raises:
      DataError: its name would lead elsewhere.
    """
    return os.path.join(uri, f"Split-{containment.name(split, 'the name of a split', path=uri)}")


def split_files(artifact: Any, split: str) -> list[str]:
    """Return the data files of a split of an Examples artifact, sorted.

    Raises:
      DataError: the artifact has no such split, or the split has no files.
    """
    names = split_names(artifact)
    if split not in names:
        raise DataError(
            f"examples have no split {split!r}",
            path=artifact.uri,
            hint=suggestion(split, names, noun="split"),
        )
    patterns = artifact.get_string_custom_property(CUSTOM_SPLIT_PATTERN)
    if not patterns:
        return data_files.record_files(split_directory(artifact.uri, split))
    pattern = json.loads(patterns).get(split)
    what = f"{CUSTOM_SPLIT_PATTERN} of split {split!r}"
    matched = glob.glob(containment.below(artifact.uri, pattern, what)) if pattern else []
    files = sorted(file for file in matched if data_files.is_data(os.path.basename(file)))
    if not files:
        raise DataError(
            f"split {split!r} has no files: its {CUSTOM_SPLIT_PATTERN} is {pattern!r}",
            path=artifact.uri,
        )
    return files


def check_written(uri: str, names: Iterable[str]) -> None:
    """Check that every split has all its files, before anybody is told that they are there.

    Raises:
      DataError: some are not: workers may write where nobody looks.
    """
    for name in names:
        folder = split_directory(uri, name)
        files = os.listdir(folder) if os.path.isdir(folder) else []
        missing = data_files.missing_shards(files) if files else ["all files"]
        if missing:
            raise DataError(
                f"split {name!r} should have been written, and lacks {', '.join(missing[:3])}",
                path=folder,
                hint="Where workers of other machines write, the pipeline's root should be in a "
                "folder that all of them share.",
            )


def output_config_or_default(
    input_config: InputConfig, output_config: OutputConfig | None
) -> OutputConfig:
    """Return the output that was asked for, or TFX's default.

    The default is two parts train to one part eval of a single input split, and the input's own
    splits otherwise.
    """
    if output_config is not None and output_config != OutputConfig():
        return output_config
    return DEFAULT_OUTPUT if len(input_config.splits) == 1 else OutputConfig()


def output_split_names(input_config: InputConfig, output_config: OutputConfig) -> list[str]:
    """Return the names of the splits to write, after checking both configurations.

    Raises:
      ParameterError: a name or pattern is empty, a name comes twice, a split has no buckets, or
        output splits are asked for while the input has several.
    """
    for index, split in enumerate(input_config.splits):
        if not split.name or not split.pattern:
            raise ParameterError(
                f"input_config.splits[{index}] needs a name and a pattern, got {split!r}"
            )
    wanted = output_config.split_config.splits
    if not wanted:
        return _unique([split.name for split in input_config.splits], "input_config.splits")
    if len(input_config.splits) != 1:
        names = ", ".join(split.name for split in input_config.splits) or "none"
        raise ParameterError(
            "output_config names splits to distribute the records over, so the input must have "
            f"exactly one split; it has {len(input_config.splits)} ({names})",
            hint="Leave output_config out to keep the input's splits, or give one input split.",
        )
    for index, bucket in enumerate(wanted):
        if not bucket.name or bucket.hash_buckets <= 0:
            raise ParameterError(
                f"output_config.split_config.splits[{index}] needs a name and hash_buckets of at "
                f"least 1, got {bucket!r}"
            )
    return _unique([bucket.name for bucket in wanted], "output_config.split_config.splits")


def _unique(names: list[str], where: str) -> list[str]:
    if not names:
        raise ParameterError(f"{where} is empty", hint="Name at least one split.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"{where} names {twice[0]!r} twice", hint="Split names are unique.")
    return names


def cumulated_buckets(split_config: SplitConfig) -> list[int]:
    """Return the first bucket that is beyond each split."""
    return list(itertools.accumulate(split.hash_buckets for split in split_config.splits))


def split_index(key: bytes, buckets: Sequence[int]) -> int:
    """Return the position of the split that a key belongs to; `buckets` are cumulated."""
    digest = hashlib.sha256(key).digest()
    return bisect.bisect(buckets, int.from_bytes(digest, "big") % buckets[-1])


def partition(items: Iterable[T], keys: Iterable[bytes], buckets: Sequence[int]) -> list[list[T]]:
    """Distribute items over the splits by their keys, keeping their order."""
    sha256, from_bytes, total = hashlib.sha256, int.from_bytes, buckets[-1]
    parts: list[list[T]] = [[] for _ in buckets]
    # A table costs less than a bisection, unless somebody asks for very fine buckets.
    if total <= 1 << 16:
        table = [parts[bisect.bisect(buckets, bucket)].append for bucket in range(total)]
        for item, key in zip(items, keys, strict=True):
            table[from_bytes(sha256(key).digest(), "big") % total](item)
    else:
        for item, key in zip(items, keys, strict=True):
            parts[split_index(key, buckets)].append(item)
    return parts
