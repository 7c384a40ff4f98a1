"""The messages of evaluations: TensorFlow Model Analysis' wire format, without that library.

Written down here is what Penstock reads and writes of that format. The messages are in a pool of
their own, so TFMA's may be loaded beside them; what they do not name is kept as unknown fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_PACKAGE = "penstock.evaluation"

# A line a field: its type, its name, its number. Before them `repeated`, or the oneof that it is in
# and a colon. Boxed types are google.protobuf's wrappers: they know whether they are set.
_TEXT = """
enum MetricDirection
  UNKNOWN = 0
  LOWER_IS_BETTER = 1
  HIGHER_IS_BETTER = 2

message ModelSpec
  string name = 2
  string signature_name = 3
  string label_key = 5
  map<string, string> label_keys = 6
  string prediction_key = 7
  map<string, string> prediction_keys = 8
  string example_weight_key = 9
  map<string, string> example_weight_keys = 10
  bool is_baseline = 11
  string model_type = 12
  repeated string preprocessing_function_names = 13
  PaddingOptions padding_options = 14
  int32 inference_batch_size = 15

message PaddingOptions
  label_padding: int64 label_int_padding = 1
  label_padding: float label_float_padding = 2
  prediction_padding: int64 prediction_int_padding = 3
  prediction_padding: float prediction_float_padding = 4

message SlicingSpec
  repeated string feature_keys = 1
  map<string, string> feature_values = 2
  string slice_keys_sql = 3

message CrossSlicingSpec
  SlicingSpec baseline_spec = 1
  repeated SlicingSpec slicing_specs = 2

message AggregationOptions
  type: bool micro_average = 1
  type: bool macro_average = 2
  type: bool weighted_macro_average = 3
  map<int32, float> class_weights = 4
  RepeatedInt32Value top_k_list = 5

message BinarizationOptions
  RepeatedInt32Value class_ids = 4
  RepeatedInt32Value k_list = 5
  RepeatedInt32Value top_k_list = 6

message ExampleWeightOptions
  bool weighted = 1
  bool unweighted = 2

message GenericValueThreshold
  Double lower_bound = 1
  Double upper_bound = 2

message GenericChangeThreshold
  Double absolute = 1
  Double relative = 2
  MetricDirection direction = 3

message MetricThreshold
  validate_absolute: GenericValueThreshold value_threshold = 1
  validate_relative: GenericChangeThreshold change_threshold = 2

message PerSliceMetricThreshold
  repeated SlicingSpec slicing_specs = 1
  MetricThreshold threshold = 2

message PerSliceMetricThresholds
  repeated PerSliceMetricThreshold thresholds = 1

message CrossSliceMetricThreshold
  repeated CrossSlicingSpec cross_slicing_specs = 1
  MetricThreshold threshold = 2

message CrossSliceMetricThresholds
  repeated CrossSliceMetricThreshold thresholds = 1

message MetricConfig
  string class_name = 1
  string module = 2
  string config = 3
  MetricThreshold threshold = 4
  repeated PerSliceMetricThreshold per_slice_thresholds = 5
  repeated CrossSliceMetricThreshold cross_slice_thresholds = 6

message MetricsSpec
  repeated MetricConfig metrics = 1
  repeated string model_names = 2
  repeated string output_names = 3
  BinarizationOptions binarize = 4
  string query_key = 5
  AggregationOptions aggregate = 6
  map<string, MetricThreshold> thresholds = 7
  map<string, PerSliceMetricThresholds> per_slice_thresholds = 8
  map<string, CrossSliceMetricThresholds> cross_slice_thresholds = 9
  map<string, float> output_weights = 10
  ExampleWeightOptions example_weights = 11

message Options
  Bool include_default_metrics = 1
  Bool compute_confidence_intervals = 2
  Int32 min_slice_size = 3
  RepeatedStringValue disabled_outputs = 7
  ConfidenceIntervalOptions confidence_intervals = 9

message ConfidenceIntervalOptions
  enum ConfidenceIntervalMethod
    UNKNOWN_CONFIDENCE_INTERVAL_METHOD = 0
    POISSON_BOOTSTRAP = 1
    JACKKNIFE = 2
  ConfidenceIntervalMethod method = 1

message EvalConfig
  repeated ModelSpec model_specs = 2
  repeated SlicingSpec slicing_specs = 4
  repeated MetricsSpec metrics_specs = 5
  Options options = 6
  repeated CrossSlicingSpec cross_slicing_specs = 8

message EvalRun
  EvalConfig eval_config = 1
  string version = 2
  string data_location = 3
  string file_format = 4
  map<string, string> model_locations = 5

message RepeatedStringValue
  repeated string values = 1

message RepeatedInt32Value
  repeated int32 values = 1

message SubKey
  Int32 class_id = 1
  Int32 k = 2
  Int32 top_k = 3

message AggregationType
  type: bool micro_average = 1
  type: bool macro_average = 2
  type: bool weighted_macro_average = 3

message MetricKey
  string name = 1
  string output_name = 2
  SubKey sub_key = 3
  string model_name = 4
  bool is_diff = 5
  AggregationType aggregation_type = 6
  Bool example_weighted = 7

message UnknownType
  string error = 1
  bytes value = 2

message BoundedValue
  enum Methodology
    UNKNOWN = 0
    RIEMANN_SUM = 1
    POISSON_BOOTSTRAP = 2
  Double lower_bound = 1
  Double upper_bound = 2
  Double value = 3
  Methodology methodology = 4

message TDistributionValue
  Double sample_mean = 1
  Double sample_standard_deviation = 2
  Int64 sample_degrees_of_freedom = 3
  Double unsampled_value = 4

message ValueCutoffPair
  int32 cutoff = 1
  double value = 2

message ValueAtCutoffs
  repeated ValueCutoffPair values = 1

message ConfusionMatrixAtThreshold
  double threshold = 1
  double false_negatives = 2
  double true_negatives = 3
  double false_positives = 4
  double true_positives = 5
  double precision = 6
  double recall = 7
  BoundedValue bounded_false_negatives = 8
  BoundedValue bounded_true_negatives = 9
  BoundedValue bounded_false_positives = 10
  BoundedValue bounded_true_positives = 11
  double false_positive_rate = 20
  double f1 = 21
  double accuracy = 22
  double false_omission_rate = 23

message ConfusionMatrixAtThresholds
  repeated ConfusionMatrixAtThreshold matrices = 1

message MultiClassConfusionMatrixEntry
  int32 actual_class_id = 1
  int32 predicted_class_id = 2
  double num_weighted_examples = 3

message MultiClassConfusionMatrix
  double threshold = 1
  repeated MultiClassConfusionMatrixEntry entries = 2

message MultiClassConfusionMatrixAtThresholds
  repeated MultiClassConfusionMatrix matrices = 1

message ArrayValue
  enum DataType
    UNKNOWN = 0
    BYTES = 1
    INT32 = 2
    INT64 = 3
    FLOAT32 = 4
    FLOAT64 = 5
  DataType data_type = 1
  repeated int32 shape = 2
  repeated bytes bytes_values = 3
  repeated int32 int32_values = 4
  repeated int64 int64_values = 5
  repeated float float32_values = 6
  repeated double float64_values = 7

message MetricValue
  type: Double double_value = 1
  type: BoundedValue bounded_value = 2
  type: UnknownType unknown_type = 3
  type: ValueAtCutoffs value_at_cutoffs = 4
  type: ConfusionMatrixAtThresholds confusion_matrix_at_thresholds = 5
  type: bytes bytes_value = 6
  type: ArrayValue array_value = 7
  type: TDistributionValue t_distribution_value = 9
  type: string debug_message = 10
  type: MultiClassConfusionMatrixAtThresholds multi_class_confusion_matrix_at_thresholds = 11

message SingleSliceKey
  string column = 1
  kind: bytes bytes_value = 2
  kind: float float_value = 3
  kind: int64 int64_value = 4

message SliceKey
  repeated SingleSliceKey single_slice_keys = 1

message CrossSliceKey
  SliceKey baseline_slice_key = 1
  SliceKey comparison_slice_key = 2

message ConfidenceInterval
  MetricValue upper_bound = 1
  MetricValue lower_bound = 2
  MetricValue standard_error = 3
  Int64 degrees_of_freedom = 4

message MetricKeyAndValue
  MetricKey key = 1
  MetricValue value = 2
  ConfidenceInterval confidence_interval = 3

message MetricsForSlice
  slicing_spec_oneof: SliceKey slice_key = 1
  map<string, MetricValue> metrics = 2
  slicing_spec_oneof: CrossSliceKey cross_slice_key = 3
  repeated MetricKeyAndValue metric_keys_and_values = 51

message CalibrationHistogramBucket
  double lower_threshold_inclusive = 1
  double upper_threshold_exclusive = 2
  Double num_weighted_examples = 3
  Double total_weighted_label = 4
  Double total_weighted_refined_prediction = 5

message CalibrationHistogramBuckets
  repeated CalibrationHistogramBucket buckets = 1

message PlotData
  CalibrationHistogramBuckets calibration_histogram_buckets = 1
  ConfusionMatrixAtThresholds confusion_matrix_at_thresholds = 2
  string debug_message = 3
  MultiClassConfusionMatrixAtThresholds multi_class_confusion_matrix_at_thresholds = 4

message PlotKey
  string output_name = 2
  SubKey sub_key = 3
  string model_name = 4
  Bool example_weighted = 5
  string name = 6

message PlotKeyAndValue
  PlotKey key = 1
  PlotData value = 2

message PlotsForSlice
  slicing_spec_oneof: SliceKey slice_key = 1
  map<string, PlotData> plots = 3
  slicing_spec_oneof: CrossSliceKey cross_slice_key = 4
  repeated PlotKeyAndValue plot_keys_and_values = 8

message AttributionsForSlice
  slicing_spec_oneof: SliceKey slice_key = 1
  slicing_spec_oneof: CrossSliceKey cross_slice_key = 3

message ValidationFailure
  MetricKey metric_key = 1
  MetricThreshold metric_threshold = 2
  MetricValue metric_value = 3
  string message = 4

message SlicingDetails
  slicing_spec_oneof: SlicingSpec slicing_spec = 1
  int32 num_matching_slices = 2
  slicing_spec_oneof: CrossSlicingSpec cross_slicing_spec = 3

message ValidationDetails
  repeated SlicingDetails slicing_details = 1

message MetricsValidationForSlice
  slice_key_oneof: SliceKey slice_key = 2
  repeated ValidationFailure failures = 3
  slice_key_oneof: CrossSliceKey cross_slice_key = 4

message ValidationResult
  bool validation_ok = 1
  repeated MetricsValidationForSlice metric_validations_per_slice = 2
  repeated SlicingSpec missing_slices = 3
  ValidationDetails validation_details = 4
  repeated CrossSlicingSpec missing_cross_slices = 5
  bool missing_thresholds = 6
  bool rubber_stamp = 7
"""

_FIELD = re.compile(
    r"(?:(?P<repeated>repeated) |(?P<oneof>\w+): )?"
    r"(?P<type>map<(?P<key>\w+), (?P<value>\w+)>|\w+) (?P<name>\w+) = (?P<number>\d+)"
)
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(_Field, f"TYPE_{name.upper()}")
    for name in ("bool", "bytes", "double", "float", "int32", "int64", "string")
}
_BOXES = {name: f".google.protobuf.{name}Value" for name in ("Bool", "Double", "Int32", "Int64")}


def _described() -> descriptor_pb2.FileDescriptorProto:
    """Return the text as protobuf has it."""
    file = descriptor_pb2.FileDescriptorProto(
        name="penstock/evaluation.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    enums: dict[str, str] = {}
    for header, lines in _sections(_TEXT):
        kind, name = header.split()
        if kind == "enum":
            _add_enum(file, name, lines)
            enums[name] = f".{_PACKAGE}.{name}"
            continue
        message = file.message_type.add(name=name)
        fields = []
        for line, values in _sections("\n".join(lines)):
            if line.startswith("enum "):
                nested = line.removeprefix("enum ")
                _add_enum(message, nested, values)
                enums[nested] = f".{_PACKAGE}.{name}.{nested}"
            else:
                fields.append(line)
        for line in fields:
            _add_field(message, line, enums)
    return file


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each line without indentation, and the lines below it that have some, less a level."""
    header, lines = "", list[str]()
    for line in filter(None, text.splitlines()):
        if line.startswith("  "):
            lines.append(line[2:])
            continue
        if header:
            yield header, lines
        header, lines = line, []
    if header:
        yield header, lines


def _add_enum(scope: Any, name: str, lines: list[str]) -> None:
    enum = scope.enum_type.add(name=name)
    for line in lines:
        value, number = line.split(" = ")
        enum.value.add(name=value, number=int(number))


def _add_field(message: Any, line: str, enums: dict[str, str]) -> None:
    parts = _FIELD.fullmatch(line)
    assert parts is not None, line
    field = message.field.add(name=parts["name"], number=int(parts["number"]))
    field.label = _Field.LABEL_REPEATED if parts["repeated"] else _Field.LABEL_OPTIONAL
    if parts["key"]:
        entry = message.nested_type.add(name=_camel_case(parts["name"]) + "Entry")
        entry.options.map_entry = True
        for number, name in ((1, "key"), (2, "value")):
            part = entry.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
            _set_type(part, parts[name], enums)
        field.label = _Field.LABEL_REPEATED
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
        return
    _set_type(field, parts["type"], enums)
    if parts["oneof"]:
        oneofs = [oneof.name for oneof in message.oneof_decl]
        if parts["oneof"] not in oneofs:
            message.oneof_decl.add(name=parts["oneof"])
            oneofs.append(parts["oneof"])
        field.oneof_index = oneofs.index(parts["oneof"])


def _set_type(field: Any, name: str, enums: dict[str, str]) -> None:
    if name in _SCALARS:
        field.type = _SCALARS[name]
    elif name in enums:
        field.type, field.type_name = _Field.TYPE_ENUM, enums[name]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = _BOXES.get(name, f".{_PACKAGE}.{name}")


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = _described()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}")
        )
        for message in file.message_type
    }


CLASSES = _classes()

EvalConfig = CLASSES["EvalConfig"]
EvalRun = CLASSES["EvalRun"]
SlicingSpec = CLASSES["SlicingSpec"]
CrossSlicingSpec = CLASSES["CrossSlicingSpec"]
MetricsSpec = CLASSES["MetricsSpec"]
MetricThreshold = CLASSES["MetricThreshold"]
GenericValueThreshold = CLASSES["GenericValueThreshold"]
MetricKey = CLASSES["MetricKey"]
MetricValue = CLASSES["MetricValue"]
PlotKey = CLASSES["PlotKey"]
PlotData = CLASSES["PlotData"]
SliceKey = CLASSES["SliceKey"]
MetricsForSlice = CLASSES["MetricsForSlice"]
PlotsForSlice = CLASSES["PlotsForSlice"]
AttributionsForSlice = CLASSES["AttributionsForSlice"]
MetricsValidationForSlice = CLASSES["MetricsValidationForSlice"]
ValidationResult = CLASSES["ValidationResult"]

# Values of the enumerations MetricDirection and ConfidenceIntervalMethod.
LOWER_IS_BETTER, HIGHER_IS_BETTER = 1, 2
POISSON_BOOTSTRAP, JACKKNIFE = 1, 2
