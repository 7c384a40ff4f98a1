"""Results in a store that another version has written, or somebody's hand."""

from __future__ import annotations

import pytest

from penstock.artifacts import ModelBlessing, ModelEvaluation
from penstock.metadata.rows import MalformedRowWarning
from penstock.surfaces.cli.summary import describe_outcome


@pytest.mark.parametrize("text", ["x{", "null", "5", '{"a": 1}', "[" * 100_000])
@pytest.mark.parametrize(
    ("kind", "name", "shown"),
    [(ModelEvaluation, "metrics", []), (ModelBlessing, "failures", ["blessed    no"])],
)
def test_what_cannot_be_read_of_a_result_is_left_out_with_a_warning(kind, name, shown, text):
    artifact = kind()
    artifact.uri = "/somewhere"
    artifact.set_string_custom_property(name, text)
    with pytest.warns(MalformedRowWarning, match=f"{kind.TYPE_NAME} 0 of the store.*{name}"):
        assert describe_outcome([artifact]) == shown
