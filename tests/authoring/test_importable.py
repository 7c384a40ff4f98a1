"""Components that the process of a node would not find, told where they are written."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from penstock import component, pipeline
from penstock.errors import PipelineError
from penstock.ir import compile_pipeline

pytestmark = pytest.mark.core


def factory():
    @component
    def Inner(rows: int = 1) -> int:
        return rows

    return Inner


Made = factory()


@pipeline
def of_a_factory_at_the_top():
    return [Made()]


@pipeline
def of_a_factory_in_the_pipeline():
    return [factory()()]


def test_what_a_factory_makes_while_its_module_is_imported_is_found():
    assert compile_pipeline(of_a_factory_at_the_top).nodes


def test_what_is_made_inside_a_function_is_told_with_its_place():
    with pytest.raises(PipelineError) as raised:
        compile_pipeline(of_a_factory_in_the_pipeline)
    said = str(raised.value)
    assert f"node Inner: the process that runs it imports {__name__} and would not find" in said
    assert (
        f"it is made inside factory(), which importing the module does not call ({__file__}:"
        in (said)
    )


@pytest.mark.parametrize(
    ("indented", "said"),
    [
        (False, "done"),
        (True, 'it is made below if __name__ == "__main__":, which importing the module leaves'),
    ],
)
def test_what_only_a_script_makes_is_told(tmp_path, indented, said):
    declared = "@component\ndef Counts() -> int:\n    return 1\n"
    main = textwrap.dedent(
        """
        @pipeline
        def counting():
            return [Counts()]

        result = LocalRunner(pipeline_root="root", metadata="m.sqlite").run(counting)
        print(result.nodes["Counts"].state.value)
        """
    )
    first, below = ("", declared + main) if indented else (declared, main)
    script = tmp_path / "script.py"
    script.write_text(
        "from penstock import LocalRunner, component, pipeline\n"
        f"{first}if __name__ == '__main__':\n{textwrap.indent(below, '    ')}"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert said in done.stdout + done.stderr
