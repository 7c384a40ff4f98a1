"""Loading a model, and asking it: a table of rows in, a table of predictions out."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from penstock.errors import DataError
from penstock.models import known_flavors as flavors
from penstock.models.facts import ModelFacts, read_facts
from penstock.models.flavor import Loading, Predictor
from penstock.models.layout import model_directory
from penstock.models.of_run import model_of_result
from penstock.models.rows import as_table
from penstock.models.signature import Signature
from penstock.models.transforming.fitted import FittedFeatures, read_features

# The custom property of a Model artifact with the code that may run for it, as a JSON list.
CODE = "code"

# By these names a pickle is saved; what is in one may run anything.
_PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Model:
    """A model that was loaded; `directory` is where from."""

    directory: str
    facts: ModelFacts
    _predictor: Predictor = field(repr=False)
    features: FittedFeatures | None = field(default=None, repr=False)

    @property
    def flavor(self) -> str:
        """The name of the model's flavor."""
        return self.facts.flavor

    @property
    def signature(self) -> Signature | None:
        """The columns that the model takes and gives; None where its files do not say."""
        return self.facts.signature

    @property
    def example(self) -> pa.Table | None:
        """Some rows of what the model takes."""
        return self.facts.example

    def predict(self, rows: Any) -> pa.Table:
        """Return the predictions for rows, as a table with as many rows.

        `rows` are an Arrow table or batch, a data frame, dicts, one a row, or one dict. They are
        cast by the signature; columns that it does not name are left out.

        Raises:
          DataError: a column is missing or has a value of another kind; the error names row and
            column.
        """
        table = as_table(rows)
        if not table.num_rows and self.example is not None:
            # Frameworks have different answers to nothing, and most of them are errors.
            return self.predict(self.example).slice(0, 0)
        if self.signature is not None:
            table = self.signature.cast(table)
        if self.features is not None:
            table = self.features.transform(table)
        return self._predictor(table)


def load_model(source: Any, *, trusted: tuple[str, ...] | list[str] = ()) -> Model:
    """Return the model in a folder, of an artifact, or of a run, ready to predict.

    `source` is the path of a model's folder or of a Model or PushedModel artifact, the artifact
    itself, or what a runner returned; `penstock.load_model` also takes what a store has a name
    for. `trusted` names the code beyond the framework's own that may run for it, as the error says
    that asks for it.

    Raises:
      DataError: there is no model, its format would run code, or what was recorded with it cannot
        be read.
      RunError: the run has made no model, or several.
      MissingExtra: its framework is not installed.
    """
    if hasattr(source, "run_id") and hasattr(source, "nodes"):
        source = model_of_result(source)
    directory = model_directory(os.fspath(getattr(source, "uri", source)))
    facts = facts_of(directory)
    return load_from(directory, facts, trusted=(*trusted, *trusted_code(source)))


def facts_of(directory: str) -> ModelFacts:
    """Return what is known of the model in a directory: its facts, or what its files say.

    Raises:
      DataError: no framework's model is there.
      MissingExtra: its framework is not installed, which alone could say.
    """
    facts = read_facts(directory)
    if facts is not None:
        return facts
    flavor = flavors.flavor_in(directory)
    if flavor is None:
        raise _unknown(directory)
    flavors.require(flavor)
    return ModelFacts(flavor.NAME, flavor.signature_in(directory))


def trusted_code(artifact: Any) -> tuple[str, ...]:
    """Return the code that a model needs, as the Trainer recorded it with the model's artifact.

    The store is believed, as all that is recorded there; a model's own files are not, since they
    may come from anywhere.
    """
    if not hasattr(artifact, "has_custom_property") or not artifact.has_custom_property(CODE):
        return ()
    recorded = artifact.get_string_custom_property(CODE)
    try:
        names = json.loads(recorded)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
    except (ValueError, RecursionError):
        pass
    raise DataError(
        f"what the store has as {CODE!r} of the model in {artifact.uri} cannot be read: expected a "
        f"JSON list of names, got {recorded[:200]!r}",
        hint="Something else has written it. Name what it needs yourself, and load its folder.",
    )


def load_from(directory: str, facts: ModelFacts, *, trusted: tuple[str, ...] = ()) -> Model:
    """Return the model of a directory, by its facts."""
    flavor = flavors.flavor_named(facts.flavor)
    flavors.require(flavor)
    _warn_of_another_version(facts, flavor.PACKAGES)
    features = read_features(directory)
    inputs = tuple(c.name for c in facts.signature.inputs) if facts.signature else None
    predictor = flavor.load(
        Loading(
            directory=directory,
            inputs=features.outputs if features else inputs,
            details=facts.details,
            trusted=trusted,
        )
    )
    return Model(directory, facts, predictor, features)


def _warn_of_another_version(facts: ModelFacts, packages: Sequence[str]) -> None:
    """Warn where the framework is not of the minor version that the model was saved with."""
    for package, here in flavors.installed_versions(packages[:1]).items():
        saved = facts.packages.get(package, here)
        if saved.split(".")[:2] != here.split(".")[:2]:
            warnings.warn(
                f"the model was saved with {package} {saved}, and {here} is installed: it may "
                "predict other values, or fail",
                stacklevel=4,
            )


def _unknown(directory: str) -> DataError:
    names = sorted(os.listdir(directory))
    pickles = [name for name in names if name.endswith(_PICKLES)]
    if pickles:
        return DataError(
            f"{pickles[0]} is a pickle, which runs code when it is loaded: it is not loaded",
            path=directory,
            hint="Save the model again from where it was trained: "
            "penstock.models.save_model(model, directory, example=rows) writes it in a format that "
            "runs no code.",
        )
    return DataError(
        f"expected a model of one of the flavors {', '.join(flavors.flavor_names())}, and the "
        f"folder has {', '.join(names[:10]) or 'nothing'}",
        path=directory,
        hint="Save it by penstock.models.save_model, or register a flavor; see docs/models.md.",
    )
