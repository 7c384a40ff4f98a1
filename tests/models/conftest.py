"""Rows of people and what became of them, and models of each framework trained on these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.models import FittedFeatures, features
from penstock.models.facts import ModelFacts
from penstock.models.saving import save_model

ROWS = 400


@pytest.fixture(scope="session")
def people() -> pa.Table:
    """Rows with numbers, whole numbers, texts, and some values missing."""
    random = np.random.default_rng(7)
    age = random.integers(18, 90, ROWS)
    income = random.lognormal(10, 1, ROWS).astype("float32")
    city = random.choice(["Oslo", "Rome", "Linz"], ROWS, p=[0.5, 0.3, 0.2])
    missing = random.random(ROWS) < 0.1
    left = (age > 50) ^ (income > 30_000) ^ (city == "Rome")
    return pa.table(
        {
            "age": pa.array(age, pa.int64()),
            "income": pa.array(income, pa.float32(), mask=missing),
            "city": pa.array(city.tolist(), pa.string()),
            "left": pa.array(np.where(left, "yes", "no").tolist(), pa.string()),
        }
    )


@pytest.fixture(scope="session")
def fitted(people: pa.Table) -> FittedFeatures:
    @features
    def people_features(columns: Any) -> Any:
        income = columns.income.filled_with_median().log1p()
        return {
            "age": columns.age.standardized(),
            "income": income.standardized(),
            "income_known": ~columns.income.is_missing(),
            "city": columns.city.one_hot(),
        }

    return people_features.fit(people)


@pytest.fixture
def saved(people: pa.Table, tmp_path: Path) -> Callable[..., tuple[str, ModelFacts]]:
    """Save a model of the people, and return where and what is known of it."""

    def save(model: Any, **arguments: Any) -> tuple[str, ModelFacts]:
        directory = str(tmp_path / "model")
        facts = save_model(model, directory, example=people, **arguments)
        return directory, facts

    return save
