"""What tests ask of models: what holds passes, and what does not says why."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from penstock import testing
from penstock.data.results.training_curves import write_curve
from penstock.models import load_model
from penstock.models.saving import save_model

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
pytest.importorskip("skops", reason="skops is not installed")
tree = pytest.importorskip("sklearn.tree")

ROWS = pa.table(
    {
        "age": pa.array(np.linspace(18, 80, 50)),
        "weight": pa.array(np.linspace(50, 90, 50) ** 1.1),
        "late": pa.array([bool(i % 3) for i in range(50)]),
    }
)
FEATURES = ROWS.drop(["late"])


def saved(model, folder, **more):
    save_model(model, str(folder), example=FEATURES, **more)
    return load_model(str(folder))


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory):
    fitted = tree.DecisionTreeClassifier(random_state=1)
    fitted.fit(FEATURES.to_pandas(), ROWS.column("late").to_pylist())
    return saved(fitted, tmp_path_factory.mktemp("model"))


class Predicting:
    """A model that answers as a function does."""

    def __init__(self, function, like):
        self.predict = function
        self.signature, self.example = like.signature, like.example


def run_with(*artifacts, state="done", execution_id=1, error=""):
    node = SimpleNamespace(
        node_id="Trainer",
        outputs={"output": list(artifacts)},
        execution_id=execution_id,
        error=error,
        state=SimpleNamespace(value=state),
    )
    return SimpleNamespace(nodes={"Trainer": node}, outputs=lambda _: node.outputs)


def training(folder, values, measure="loss"):
    write_curve(str(folder), measure, values)
    return run_with(SimpleNamespace(type_name="ModelRun", uri=str(folder)))


def test_a_loss_that_falls_is_fine(tmp_path):
    testing.assert_loss_falls(training(tmp_path, [0.9, 0.95, 0.5]))


def test_a_loss_that_does_not_fall_is_told_with_its_ends(tmp_path):
    with pytest.raises(AssertionError, match=r"loss should end lower than it began: 0.5 -> 0.9"):
        testing.assert_loss_falls(training(tmp_path, [0.5, 0.9]))


def test_a_measure_can_be_one_that_rises(tmp_path):
    testing.assert_loss_falls(training(tmp_path, [0.5, 0.9], "auc"), measure="auc", rising=True)


def test_a_loss_that_is_no_number_is_told(tmp_path):
    with pytest.raises(AssertionError, match="loss is not a number at some step"):
        testing.assert_loss_falls(training(tmp_path, [0.5, float("nan")]))


def test_curves_that_are_not_there_are_told_with_those_that_are(tmp_path):
    with pytest.raises(AssertionError, match=r"no curve of 'loss' .*; there are: auc"):
        testing.assert_loss_falls(training(tmp_path, [0.5, 0.9], "auc"))


def test_a_model_that_knows_its_rows_has_learned_them(by_heart):
    testing.assert_learns_by_heart(by_heart, ROWS, "late")


def test_a_model_that_has_not_learned_its_rows_is_told_how_few_it_knows(by_heart):
    turned = ROWS.set_column(2, "late", pa.array([not bool(i % 3) for i in range(50)]))
    with pytest.raises(AssertionError, match=r"of 50 rows 0.0% of the labels are right, and 95.0%"):
        testing.assert_learns_by_heart(by_heart, turned, "late")


def test_numbers_are_learned_by_the_variance_that_is_explained(tmp_path):
    numbers = ROWS.append_column("pay", pa.array(np.linspace(18, 80, 50) * 2.0))
    fitted = linear_model.LinearRegression()
    fitted.fit(FEATURES.to_pandas(), numbers.column("pay").to_pylist())
    testing.assert_learns_by_heart(saved(fitted, tmp_path / "m"), numbers, "pay")


def test_predictions_on_extremes_are_numbers(by_heart):
    testing.assert_finite_on_extremes(by_heart)


def test_a_prediction_that_is_no_number_is_told_with_the_value(by_heart):
    def predict(table):
        ages = table.column("age").to_numpy()
        return pa.table({"prediction": np.where(ages > 1e8, np.nan, 1.0)})

    with pytest.raises(AssertionError, match=r"with age = 1000000000.0, prediction is not a num"):
        testing.assert_finite_on_extremes(Predicting(predict, by_heart))


def test_the_same_model_predicts_the_same(by_heart):
    testing.assert_same_predictions(by_heart, by_heart, FEATURES)


def test_other_predictions_are_told_with_the_worst(by_heart):
    def shifted(rows):
        table = by_heart.predict(rows)
        values = pa.array([str(value) for value in table.column(0).to_pylist()])
        return table.set_column(0, table.column_names[0], values)

    with pytest.raises(AssertionError, match="the two models differ in prediction"):
        testing.assert_same_predictions(by_heart, Predicting(shifted, by_heart), FEATURES)


def test_a_row_is_predicted_alone_as_among_others(by_heart):
    testing.assert_rows_do_not_matter_to_each_other(by_heart, FEATURES)


def test_a_model_that_looks_at_other_rows_is_caught(by_heart):
    def predict(table):
        ages = table.column("age").to_numpy()
        return pa.table({"prediction": ages - ages.mean()})

    with pytest.raises(AssertionError, match="rows together and rows alone differ in prediction"):
        testing.assert_rows_do_not_matter_to_each_other(Predicting(predict, by_heart), FEATURES)


def test_an_answer_in_time_is_fine(by_heart):
    testing.assert_answers_within(by_heart, 60_000, tries=3)


def test_an_answer_that_takes_too_long_is_told(by_heart):
    with pytest.raises(AssertionError, match=r"95% of the answers should take 1e-06 ms at most"):
        testing.assert_answers_within(by_heart, 1e-6, tries=3)


def test_artifacts_that_are_there_are_fine(tmp_path):
    testing.assert_yields_artifacts(run_with(SimpleNamespace(uri=str(tmp_path))))


def test_artifacts_that_are_gone_and_nodes_that_did_not_run_are_told(tmp_path):
    with pytest.raises(AssertionError, match=r"Trainer/output: .*nowhere is not there"):
        testing.assert_yields_artifacts(run_with(SimpleNamespace(uri=str(tmp_path / "nowhere"))))
    with pytest.raises(AssertionError, match="Trainer did not run: skipped"):
        testing.assert_yields_artifacts(run_with(state="skipped", execution_id=None))


pytest_plugins = ["penstock.testing.fixtures"]


def test_the_fixture_runs_a_pipeline_in_a_folder_of_the_tests_own(run_pipeline):
    from penstock_support.registering_components import numbers

    result = run_pipeline(numbers, weight=3)
    testing.assert_yields_artifacts(result)
    assert os.getcwd() not in result.output("TrainNumber", "model").uri
    assert run_pipeline(numbers, weight=3).nodes["TrainNumber"].state.value == "cached"
