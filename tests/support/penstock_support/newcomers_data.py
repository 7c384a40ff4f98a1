"""Data as people begin with: twins of nine real tables, made by chance that is always the same.

Each has what its kind is known for, and a label that follows from its columns.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def diamonds(folder: Path, rows: int = 53_940) -> Path:
    """Sorted by the price that is to be predicted, with a column that R has numbered rows by."""
    random = np.random.default_rng(1)
    carat = np.exp(random.normal(-0.4, 0.55, rows)).clip(0.2, 5)
    cut, color = random.integers(0, 5, rows), random.integers(0, 7, rows)
    price = 3400 * carat**1.7 * (1 + 0.06 * cut - 0.05 * color) * random.lognormal(0, 0.1, rows)
    order = np.argsort(price)
    cuts = ("Fair", "Good", "Very Good", "Premium", "Ideal")
    lines = ['"rownames","carat","cut","color","depth","price"']
    lines += [
        f'"{n}",{carat[i]:.2f},"{cuts[cut[i]]}","{"DEFGHIJ"[color[i]]}",'
        f"{random.normal(61.7, 1.4):.1f},{price[i]:.0f}"
        for n, i in enumerate(order, 1)
    ]
    return _text(folder / "diamonds.csv", lines)


def titanic(folder: Path, rows: int = 600) -> Path:
    """With missing values, names, and a label of `Yes` and `No`; compressed."""
    random = np.random.default_rng(2)
    lines = ["PassengerId,Name,Class,Sex,Age,Fare,Survived"]
    for n in range(1, rows + 1):
        sex, place = random.choice(["male", "female"]), int(random.integers(1, 4))
        lived = random.random() < (0.75 if sex == "female" else 0.2) - 0.08 * (place - 2)
        age = "" if random.random() < 0.2 else f"{random.uniform(1, 75):.0f}"
        lines.append(
            f'{n},"Doe, Mr. {n}",{place},{sex},{age},{random.uniform(5, 90) / place:.2f},'
            f"{'Yes' if lived else 'No'}"
        )
    path = folder / "titanic.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def penguins(folder: Path) -> Path:
    """Three species, one after the other, with `NA` for what nobody measured."""
    random = np.random.default_rng(3)
    species = {
        "Adelie": (152, 38.8, 18.3),
        "Chinstrap": (68, 48.8, 18.4),
        "Gentoo": (124, 47.5, 15),
    }
    lines, number = ["rownames,species,island,bill_length_mm,bill_depth_mm,sex,year"], 0
    for name, (count, length, depth) in species.items():
        for _ in range(count):
            number += 1
            measured = f"{random.normal(length, 2.5):.1f},{random.normal(depth, 1):.1f}"
            measured = "NA,NA" if random.random() < 0.01 else measured
            island = random.choice(["Biscoe", "Dream", "Torgersen"])
            sex = random.choice(["male", "female", "NA"], p=[0.48, 0.48, 0.04])
            lines.append(f"{number},{name},{island},{measured},{sex},{random.integers(2007, 2010)}")
    return _text(folder / "penguins.csv", lines)


def iris(folder: Path) -> Path:
    """Numbers alone, and the index that pandas writes into a column without a name."""
    random = np.random.default_rng(4)
    lines = [",sepal_length,sepal_width,petal_length,petal_width,species"]
    for n in range(150):
        kind = n // 50
        petal = random.normal((1.5, 4.3, 5.6)[kind], (0.2, 0.45, 0.5)[kind])
        lines.append(
            f"{n},{random.normal(5 + 0.8 * kind, 0.5):.1f},{random.normal(3, 0.4):.1f},"
            f"{petal:.1f},{petal * 0.4 - 0.3:.1f},{('setosa', 'versicolor', 'virginica')[kind]}"
        )
    return _text(folder / "iris.csv", lines)


def cars(folder: Path, rows: int = 400) -> Path:
    """As Excel saves it in much of Europe: semicolons, decimal commas, a Windows encoding."""
    random = np.random.default_rng(5)
    lines = ["Modèle;Verbrauch;Hubraum;Gewicht;Zylinder;Herkunft"]
    for n in range(rows):
        size = random.uniform(1, 6)
        use = 4 + 1.8 * size + random.normal(0, 0.6)
        made = random.choice(["Österreich", "Japan", "USA"])
        numbers = f"{use:.1f};{size:.1f};{600 + 300 * size:.3f}".replace(".", ",")
        lines.append(f"Wagen {n};{numbers};{2 * round(size) + 2};{made}")
    path = folder / "autos.csv"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def weather(folder: Path, days: int = 1461) -> Path:
    """Dates with slashes, and one kind of weather that is rare."""
    random = np.random.default_rng(6)
    lines = ["date,precipitation,temp_max,wind,weather"]
    first = np.datetime64("2012-01-01")
    for n in range(days):
        warm = 12 - 10 * np.cos(n / 365 * 2 * np.pi) + random.normal(0, 3)
        wet = max(0.0, random.normal(0, 4))
        kind = ("snow" if warm < 1 else "rain") if wet > 1 else "sun" if warm > 10 else "fog"
        day = str(first + n).replace("-", "/")
        lines.append(f"{day},{wet:.1f},{warm:.1f},{random.uniform(0.5, 8):.1f},{kind}")
    return _text(folder / "seattle-weather.csv", lines)


def churn(folder: Path, rows: int = 2000) -> Path:
    """Few `Yes` among many `No`, some written `yes`; thousands with commas."""
    random = np.random.default_rng(7)
    lines = ["customer,months,spent,plan,left"]
    for n in range(rows):
        months, plan = int(random.integers(1, 60)), random.choice(["basic", "plus"])
        leaves = random.random() < 0.18 * np.exp(-months / 15)
        label = random.choice(["Yes", "Yes", "yes"]) if leaves else "No"
        lines.append(f'c{n:05d},{months},"{1000 + 310 * months + n:,}",{plan},{label}')
    return _text(folder / "churn.csv", lines)


def sensors(folder: Path, rows: int = 800, columns: int = 60) -> Path:
    """Many numbers, flags and times, in Parquet."""
    random = np.random.default_rng(8)
    values = random.normal(0, 1, (columns, rows))
    table: dict[str, Any] = {"sensor_id": range(10_000, 10_000 + rows)}
    table |= {f"s{n:02d}": values[n].astype("float32") for n in range(columns)}
    table["is_new"] = random.random(rows) < 0.5
    table["at"] = np.datetime64("2024-05-01T00:00:00") + np.arange(rows) * np.timedelta64(90, "s")
    table["history"] = [[1.0, 2.0]] * rows
    table["faulty"] = values[0] + values[1] > 0.4
    path = folder / "sensors.parquet"
    pq.write_table(pa.table(table), path)
    return path


def reviews(folder: Path, rows: int = 900) -> Path:
    """Texts of very many values, in the files of a folder with an object a line."""
    random = np.random.default_rng(9)
    inside = folder / "reviews"
    inside.mkdir()
    for part in range(3):
        with (inside / f"part-{part}.jsonl").open("w") as file:
            for n in range(part, rows, 3):
                city = f"city {random.integers(0, 250)}"
                price = float(random.uniform(5, 90))
                stars = int(np.clip(round(5 - price / 25 + random.normal(0, 0.5)), 1, 5))
                told = {"price": round(price, 2), "kind": str(random.choice(["bar", "café"]))}
                row = {"text": f"review {n}", "city": city, **told, "tags": ["a"], "stars": stars}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    (inside / "_SUCCESS").touch()
    return inside


def _text(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# With the label of each.
TWINS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "diamonds": (diamonds, "price"),
    "titanic": (titanic, "Survived"),
    "penguins": (penguins, "species"),
    "iris": (iris, "species"),
    "cars": (cars, "Verbrauch"),
    "weather": (weather, "weather"),
    "churn": (churn, "left"),
    "sensors": (sensors, "faulty"),
    "reviews": (reviews, "stars"),
}
