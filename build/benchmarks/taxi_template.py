"""TFX's taxi template with all its components, as a project: by TFX, by scripts, by a command.

The pipeline is TFX's own and stays as it is; what differs is who runs it: TFX's LocalDagRunner in a
script, our LocalRunner in the same script with TFX's executors and with the engines that take their
place, and `penstock run`.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from measurements import Comparison, Sample, by_turns
from plan import Plan, versions
from processes import timed
from projects import ENVIRONMENT, Project, sample
from rides import write_rides

PART = "template"
SIZES = {10_000: 3, 500_000: 3}
WARM = (10_000,)
# The script is the same; the runner is exchanged.
RUNNERS = {
    "tfx": "tfx.orchestration.LocalDagRunner()",
    "plain": "LocalRunner(accelerate=False)",
    "script": "LocalRunner()",
}
IMPORTS = {"tfx": "from tfx import v1 as tfx"}
PIPELINE = "taxi_here.py:taxi"
TRAIN_STEPS = 1000
MADE = "made"
_TAXI = "tfx.experimental.templates.taxi"
MODELS = f"{_TAXI}.models"
_OUR_IMPORT = "from penstock import LocalRunner"
_PROJECT = f'[pipelines]\ntaxi = "{PIPELINE}"\n'
_SCRIPT = """\
from taxi_here import taxi
{imports}

if __name__ == "__main__":
    {runner}.run(taxi())
"""
_DEFINITION = """

def taxi():
    return create_pipeline(
        pipeline_name="taxi",
        pipeline_root={root!r},
        data_path={data!r},
        preprocessing_fn="{models}.preprocessing.preprocessing_fn",
        run_fn="{models}.keras_model.model.run_fn",
        train_args=tfx.proto.TrainArgs(num_steps={steps}),
        eval_args=tfx.proto.EvalArgs(num_steps=150),
        eval_accuracy_threshold=0.1,
        serving_model_dir={serving!r},
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            {store!r}
        ),
    )
"""


def measure(plan: Plan) -> Iterator[Comparison]:
    """Measure the template by all who can run it, size after size."""
    for rows, repeats in plan.sizes(SIZES).items():
        yield from _runs(write_rides(plan.data, rows), rows, repeats)


def _runs(data: Path, rows: int, repeats: int) -> Iterator[Comparison]:
    with ExitStack() as stack:
        project = write(Path(stack.enter_context(tempfile.TemporaryDirectory())), data)
        ways: dict[str, Callable[[], Sample]] = {
            runner: by_script(project, runner) for runner in RUNNERS
        }
        ways["cold"] = project.anew(PIPELINE, warm=False)
        if rows in WARM:
            stack.enter_context(project.daemon(PIPELINE))
            ways["warm"] = project.anew(PIPELINE, warm=True)
        # TFX's executors by our runner take as long as TFX does.
        once = ("plain",)
        yield from by_turns((PART, "run", rows), ways, repeats, versions(), once)


def write(folder: Path, data: Path, *, cached: bool = False) -> Project:
    """Write the template as a project, with the lines in use that it has its users uncomment.

    Where it is `cached`, what has not changed is not run again, and the user's code is a copy in
    the project, to be edited.
    """
    text = Path(_origin(f"{_TAXI}.pipeline.pipeline")).read_text(encoding="utf-8")
    text = text.replace("# components.append(", "components.append(")
    models = MODELS
    if cached:
        assert "# enable_cache=True" in text, "it is a line that users uncomment"
        text = text.replace("# enable_cache=True", "enable_cache=True")
        models = _copy_models(folder)
    made = folder / MADE
    text += _DEFINITION.format(
        root=str(made / "root"),
        data=str(data),
        models=models,
        steps=TRAIN_STEPS,
        serving=str(made / "serving"),
        store=str(made / "metadata.sqlite"),
    )
    (folder / "taxi_here.py").write_text(text, encoding="utf-8")
    (folder / "penstock.toml").write_text(_PROJECT, encoding="utf-8")
    for runner, made_by in RUNNERS.items():
        script = _SCRIPT.format(imports=IMPORTS.get(runner, _OUR_IMPORT), runner=made_by)
        (folder / f"by_{runner}.py").write_text(script, encoding="utf-8")
    return Project(folder, f"{MADE}/metadata.sqlite", (MADE, ".penstock"))


def by_script(project: Project, runner: str) -> Callable[[], Sample]:
    """Return what runs the template's script with a runner, as if it had not run before."""

    def measure() -> Sample:
        project.clear()
        command = [sys.executable, "-W", "ignore", f"by_{runner}.py"]
        return sample(
            timed(command, project.folder, ENVIRONMENT), str(project.folder / project.store)
        )

    return measure


def run_fn_of(project: Project) -> Path:
    """Return the module with the run_fn of a project that has the user's code."""
    return project.folder / "taxi_models" / "keras_model" / "model.py"


def _copy_models(folder: Path) -> str:
    code = folder / "taxi_models"
    ignored = shutil.ignore_patterns("*_test.py", "__pycache__")
    shutil.copytree(Path(_origin(MODELS)).parent, code, ignore=ignored)
    for module in code.rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        module.write_text(text.replace(MODELS, code.name), encoding="utf-8")
    return code.name


def _origin(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None, "the template comes with TFX"
    assert spec.origin is not None, "it is a file"
    return spec.origin
