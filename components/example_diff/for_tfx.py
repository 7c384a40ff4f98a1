"""The work of TFX's ExampleDiff."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.standing_in import unusual_examples


@dataclass(frozen=True)
class ConfusionConfig:
    """A feature whose pairs of values are counted."""

    feature_name: str = ""


@dataclass(frozen=True)
class PairedExampleSkew:
    """How rows find each other, and what is compared of them."""

    identifier_features: tuple[str, ...] = ()
    skew_sample_size: int = 0
    ignore_features: tuple[str, ...] = ()
    float_round_ndigits: int = 0
    allow_duplicate_identifiers: bool = False
    confusion_config: tuple[ConfusionConfig, ...] = ()


@dataclass(frozen=True)
class ExampleDiffConfig:
    """TFX's ExampleDiffConfig."""

    paired_example_skew: PairedExampleSkew


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's ExampleDiff."""

    example_diff_config: ExampleDiffConfig
    include_split_pairs: list[list[str]] | None = None


def _obstacle(node: TfxNode, parameters: Parameters) -> str:
    if parameters.example_diff_config.paired_example_skew.skew_sample_size:
        return "skew_sample_size is set, and samples are drawn by chance"
    return unusual_examples([*node.inputs["examples"], *node.inputs["baseline_examples"]])


@stands_in_for("tfx.components.example_diff.executor.Executor", obstacle=_obstacle)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Compare the rows of two data sets that have the same identifiers.

    What TFX calls the base are the examples, and what it calls the test is the baseline.
    """
    from penstock.components.example_diff.comparison import Comparison, compare
    from penstock.components.example_diff.component import pairs_of

    asked = parameters.example_diff_config.paired_example_skew
    comparison = Comparison(
        asked.identifier_features,
        frozenset(asked.ignore_features),
        asked.float_round_ndigits,
        asked.allow_duplicate_identifiers,
        confusion=tuple(one.feature_name for one in asked.confusion_config),
    )
    comparison.check()
    examples, baseline = node.input("examples"), node.input("baseline_examples")
    pairs = pairs_of(examples, baseline, parameters.include_split_pairs)
    compare(
        examples,
        baseline,
        pairs,
        comparison,
        node.output("example_diff_result").uri,
        node.beam.without_beam(),
        node.context.progress,
        turned=True,
    )
