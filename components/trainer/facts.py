"""What is known of a model, as properties of its artifact."""

from __future__ import annotations

import json

from penstock.artifacts import Model
from penstock.models.facts import ModelFacts
from penstock.models.flavor import code_in
from penstock.models.loading import CODE


def record_facts(facts: ModelFacts, model: Model) -> None:
    """Put a model's facts into its artifact's custom properties.

    `flavor` is a name, `signature` and `packages` are JSON, as in the model's own file. `code`,
    where the model needs any beyond its framework's, is a JSON list: training has just run it.
    """
    if code := code_in(facts.details):
        model.set_string_custom_property(CODE, json.dumps(code))
    model.set_string_custom_property("flavor", facts.flavor)
    if facts.signature is not None:
        model.set_string_custom_property("signature", json.dumps(facts.signature.to_json()))
    model.set_string_custom_property("packages", json.dumps(dict(facts.packages), sort_keys=True))
