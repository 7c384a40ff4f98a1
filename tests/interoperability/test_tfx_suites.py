"""TFX's own tests of its runners, from the installed package, with our runner in their place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest

from penstock_support import PROGRAMS

pytestmark = pytest.mark.needs("tfx.components")

LOCAL = "tfx.orchestration.local"
DECORATORS = "tfx.dsl.component.experimental"

# Those that expect the component's own exception: ours is RunFailed, which names the node and has
# the exception's text.
OTHER_EXCEPTION = {
    "testBeamExecutionFailure": "error: RunFailed: run RUN: node verify failed: AssertionError",
    "testBeamExecutionNonNullableReturnError": (
        "error: RunFailed: run RUN: node injector_3 failed: ValueError: Non-nullable output 'e'"
    ),
    "testJsonCompatible": "error: RunFailed: run RUN: node injector_4_invalid failed: TypeError",
}
# Those that expect the text of TFX's LookupError: ours is one too, and says the same.
NO_SUCH_RUN = "does not match \"there is no run 'non_existent_id'. Choose from: latest, run_1."
NOTHING_LENT = "is left out, but nodes that are to run need its outputs, and it has none from"
OTHER_TEXT = {
    "testNonExistentBaseRunId_lookupError": NO_SUCH_RUN,
    "testNonExistentNodeId_lookupError": NO_SUCH_RUN,
    "testNoPreviousSuccessfulExecution_lookupError": f"node LoadFail {NOTHING_LENT} run run_1.",
    "testReusePipelineArtifacts_preventInconsistency": f"node AddNum {NOTHING_LENT} run run_3.",
}
MODULES: Mapping[str, Mapping[str, str]] = {
    f"{LOCAL}.local_dag_runner_test": {},
    f"{LOCAL}.local_pipeline_test": {},
    f"{LOCAL}.local_pipeline_beam_test": {},
    f"{DECORATORS}.decorators_test": OTHER_EXCEPTION,
    f"{DECORATORS}.decorators_typeddict_test": OTHER_EXCEPTION,
    "tfx.orchestration.portable.partial_run_utils_test": OTHER_TEXT,
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAMS / "tfx_suites.py"), *MODULES],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path_factory.mktemp("tfx_suites"),
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", MODULES)
def test_tfx_s_tests_pass_but_for_those_that_expect_what_is_otherwise_here(told, module):
    tests = {name: text for name, text in told[module].items() if not text.startswith("skipped")}
    others = {name: text for name, text in tests.items() if text != "passed"}
    assert len(tests) > len(others)
    assert others.keys() == MODULES[module].keys()


@pytest.mark.parametrize("module", [name for name, others in MODULES.items() if others])
def test_what_comes_in_the_place_of_what_they_expect_is_as_it_is_told(told, module):
    for name, expected in MODULES[module].items():
        head, _, rest = expected.partition("RUN:")
        assert head in told[module][name]
        assert rest in told[module][name]
