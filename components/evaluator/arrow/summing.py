"""Rows, and what models say of them, as sums; those of parts of the rows are merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.components.evaluator.arrow.intervals import Sampling
from penstock.components.evaluator.arrow.outcomes import Outcome
from penstock.components.evaluator.arrow.reading import Evaluated, outcome_of
from penstock.components.evaluator.arrow.slicing import Slices
from penstock.components.evaluator.arrow.tallies import Tally
from penstock.components.evaluator.sums import Placed, Sums
from penstock.data.file_columns import located
from penstock.errors import DataError


class AllSums:
    """The sums of all tallies, whose tables have their shapes by the models' predictions."""

    def __init__(self, tallies: Sequence[Tally]):
        self.tallies = tallies
        self._sums: dict[Tally, Sums] = {}
        self._shapes: dict[Tally, tuple[int, ...]] = {}

    def add(self, outcomes: Mapping[str, Outcome], rows: np.ndarray, groups: np.ndarray) -> None:
        """Add outcomes by model; rows, in ascending order, to the groups beside them."""
        for tally in self.tallies:
            outcome = outcomes[tally.view.model]
            shape = (*tally.shape(outcome.outputs), tally.columns)
            if tally not in self._sums:
                self._sums[tally] = Sums(int(np.prod(shape[:-1])), tally.columns)
                self._shapes[tally] = shape
            elif shape != self._shapes[tally]:
                raise DataError(
                    f"row {outcome.first_row}: the model gives {outcome.outputs} numbers a row "
                    "from here on, and gave another number of them before",
                    hint="A model should give lists of one size.",
                )
            entries = tally.entries(outcome)
            positions, dealt = _dealt(entries.rows, rows, groups)
            cells = entries.cells if isinstance(entries.cells, int) else entries.cells[positions]
            self._sums[tally].add(dealt, cells, entries.values[positions])

    def tables(self, tally: Tally, first_group: int, groups: int) -> np.ndarray:
        """Return the tables of consecutive groups, of shape (groups, *cells, columns)."""
        table = self._sums[tally].tables(first_group, groups)
        return table.reshape(groups, *self._shapes[tally])

    def merge(self, other: AllSums, placed: Placed) -> None:
        """Add the sums of other rows, whose groups are placed among these."""
        for tally, sums in other._sums.items():
            shape = other._shapes[tally]
            if tally not in self._sums:
                self._sums[tally] = Sums(int(np.prod(shape[:-1])), tally.columns)
                self._shapes[tally] = shape
            elif shape != self._shapes[tally]:
                raise DataError(
                    "the model gives more numbers a row for rows of some files than of others",
                    hint="A model should give lists of one size.",
                )
            self._sums[tally].merge(sums, placed)


def _dealt(
    entries: np.ndarray, rows: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in `entries`, which are rows, and groups: each entry in its row's groups."""
    starts = np.searchsorted(rows, entries, side="left")
    lengths = np.searchsorted(rows, entries, side="right") - starts
    positions = np.repeat(np.arange(len(entries)), lengths)
    within = np.arange(len(positions)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return positions, groups[starts[positions] + within]


class Summed:
    """The sums of some rows: by tally and group, and how many rows are in each group."""

    def __init__(self, config: Any, tallies: Sequence[Tally]):
        self.slices = Slices(config.slicing_specs)
        self.sampling = Sampling.of(config.options)
        self.sums = AllSums(tallies)
        self.counts = Sums(1, 1)
        self.rows = 0

    def add(self, table: pa.Table, outcomes: Mapping[str, Outcome], seed: Sequence[int]) -> None:
        """Add the rows of a table, and what models say of them, by model.

        Samples are drawn by the seed, which is the table's own, so that confidence intervals do
        not depend on what is added before.
        """
        rows, numbers = self.slices.assign(table)
        groups = self.sampling.groups
        taken, dealt = self.sampling.deal(len(rows), np.random.default_rng(seed))
        order = np.argsort(taken, kind="stable")
        rows, in_groups = rows[taken[order]], (numbers[taken] * groups + dealt)[order]
        self.counts.add(in_groups, 0, np.ones((len(in_groups), 1)))
        self.sums.add(outcomes, rows, in_groups)
        self.rows += table.num_rows

    def merge(self, other: Summed) -> None:
        """Add the sums of rows that come after these."""
        numbers, per_slice = self.slices.merge(other.slices), self.sampling.groups

        def placed(groups: np.ndarray) -> np.ndarray:
            return numbers[groups // per_slice] * per_slice + groups % per_slice

        self.counts.merge(other.counts, placed)
        self.sums.merge(other.sums, placed)
        self.rows += other.rows


def add_file(
    to: Summed,
    path: str,
    number: int,
    tables: Iterable[pa.Table],
    models: Sequence[Evaluated],
    specs: Mapping[str, Any],
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Add the rows of a file, which has a number among all that are evaluated.

    Raises:
      DataError: rows cannot be evaluated; see `outcome_of`.
    """
    first = 0
    for place, table in enumerate(table for table in tables if table.num_rows):
        with located(path):
            outcomes = {
                model.name: outcome_of(table, specs[model.name], model, first) for model in models
            }
            to.add(table, outcomes, [number, place])
        first += table.num_rows
        advance(table.num_rows)
