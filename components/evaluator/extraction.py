"""From a batch of records to features and predictions, by TFMA's own functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.components.evaluator.job import Job, read_batches
from penstock.components.evaluator.unsupported import Unsupported
from penstock.errors import DataError, suggestion

if TYPE_CHECKING:
    import pyarrow


class Extraction:
    """What TFMA's default extractors do to a batch, but for splitting it into examples."""

    def __init__(self, job: Job, eval_config: Any, models: Mapping[str, Any]):
        adapter = job.tensor_adapter_config()
        self._representations = adapter.tensor_representations if adapter else {}
        self._specs = list(eval_config.model_specs)
        self._transform = _signatures(
            self._specs,
            models,
            "transformed_features",
            [list(spec.preprocessing_function_names) for spec in self._specs],
            default_signature_names=["transformed_features", "transformed_labels"],
            prefer_dict_outputs=True,
        )
        self._predict = _signatures(
            self._specs,
            models,
            "predictions",
            [[spec.signature_name] for spec in self._specs],
            prefer_dict_outputs=False,
        )

    def __call__(self, batch: pyarrow.RecordBatch) -> dict[str, Any]:
        """Return TFMA's extracts of a batch."""
        from tensorflow_model_analysis.utils import model_util

        extracts = self.features(batch)
        self._check_labels(extracts)
        for key, field in (("labels", "label_key"), ("example_weights", "example_weight_key")):
            extracts[key] = model_util.get_feature_values_for_model_spec_field(
                self._specs, field, None, extracts, key == "labels"
            )
        extracts = _only(self._predict.process(extracts))
        predictions = extracts["predictions"]
        for spec in self._specs if len(self._specs) > 1 else [None]:
            model = spec.name if spec else ""
            outputs = predictions[model] if spec else predictions
            key = (spec or self._specs[0]).prediction_key
            if isinstance(outputs, Mapping) and key in outputs:
                if spec:
                    predictions[model] = outputs[key]
                else:
                    extracts["predictions"] = outputs[key]
        return extracts

    def features(self, batch: pyarrow.RecordBatch) -> dict[str, Any]:
        """Return TFMA's extracts of a batch as far as they are features, transformed ones too."""
        from tensorflow_model_analysis.extractors import features_extractor
        from tensorflow_model_analysis.utils import util

        columns, serialized = (
            features_extractor._drop_unsupported_columns_and_fetch_raw_data_column(batch)
        )
        extracts: dict[str, Any] = {
            "features": util.record_batch_to_tensor_values(columns, self._representations),
            "input": serialized,
        }
        return _only(self._transform.process(extracts))

    def _check_labels(self, extracts: Mapping[str, Any]) -> None:
        transformed = extracts.get("transformed_features") or {}
        names = {*extracts["features"], *transformed}
        # With several models each has its own.
        names.update(*(outputs for outputs in transformed.values() if isinstance(outputs, Mapping)))
        for spec in self._specs:
            for label in [spec.label_key] if spec.label_key else spec.label_keys.values():
                if label not in names:
                    raise DataError(
                        f"the examples have no label {label!r}, which the label_key of "
                        "eval_config names",
                        hint=suggestion(label, names, noun="feature"),
                    )

    def transformed(self, extracts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the transformed features that slices are looked for in, model by model."""
        features = extracts.get("transformed_features")
        if not features:
            return []
        if len(self._specs) == 1:
            return [features]
        return [features[spec.name] for spec in self._specs if spec.name in features]


def transformed_features(job: Job) -> set[str] | None:
    """Return the names of the features that the models of a job make; None if they do not say."""
    if not job.models:
        return set()
    try:
        extraction, batch = _first_batch(job)
        extracts = extraction.features(batch)
    except (Unsupported, StopIteration):
        return None
    return {name for features in extraction.transformed(extracts) for name in features}


def first_extracts(job: Job) -> dict[str, Any] | None:
    """Return what the first rows and the models' answers are, None if that cannot be told."""
    try:
        extraction, batch = _first_batch(job)
        return extraction(batch)
    except (Unsupported, StopIteration):
        return None


def _first_batch(job: Job) -> tuple[Extraction, pyarrow.RecordBatch]:
    from tensorflow_model_analysis.utils import model_util

    if not job.models:
        raise Unsupported("the examples hold the predictions")
    shared = model_util.verify_and_update_eval_shared_models(job.model_or_models)
    if any(model.model_type not in ("tf_keras", "tf_generic") for model in shared):
        raise Unsupported("a model is neither of Keras nor a plain SavedModel")
    models = {model.model_name: model for model in shared}
    batches = (batch for file in job.files for batch in read_batches(file, job.schema))
    return Extraction(job, job.eval_config, models), next(batches)


def _signatures(
    specs: Sequence[Any],
    models: Mapping[str, Any],
    output: str,
    names: Sequence[list[str]],
    **options: Any,
) -> Any:
    from tensorflow_model_analysis.utils import model_util

    keys = [spec.name for spec in specs] if len(specs) > 1 else [""]
    function = model_util.ModelSignaturesDoFn(
        model_specs=specs,
        eval_shared_models=dict(models),
        output_keypath=[output],
        signature_names=dict(zip(keys, names, strict=True)),
        **options,
    )
    function.setup()
    return function


def _only(results: Any) -> dict[str, Any]:
    batches = list(results)
    if len(batches) != 1:
        raise Unsupported("the model does not take a batch at once")
    return batches[0]
