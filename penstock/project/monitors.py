"""The tables `monitors` of penstock.toml: what is watched of a model that serves.

[monitors.flights]
log = "deployments.flights"     # whose prediction log; or the folder of a model in one
window = "1d"
baseline = "training"           # or "previous", "flights@3", files as "reference/*.parquet"

[monitors.flights.drift]
test = "js"
threshold = 0.05

[monitors.flights.labels]
source = "labels/month-{SPAN}/*.csv"
key = { id = "log/request_id" }
label = "late"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from penstock.errors import ParameterError, suggestion

JS = "js"
PSI = "psi"
LINF = "linf"
KS = "ks"
TESTS = (JS, PSI, LINF, KS)
# A change of so much is usually worth a look: of psi by the rule of thumb of credit scoring.
THRESHOLDS = {JS: 0.02, PSI: 0.2, LINF: 0.1, KS: 0.1}
CORRECTIONS = ("holm", "none")


@dataclass(frozen=True)
class FeatureTest:
    """How a feature is tested, where it is not as the others are; what is None is as theirs."""

    test: str | None = None
    threshold: float | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        if self.test is not None:
            _check_choice("test", self.test, TESTS)


@dataclass(frozen=True)
class DriftTests:
    """How distributions are compared.

    `test` is `js`, the Jensen-Shannon divergence in bits, `psi`, the population stability index,
    `linf`, the largest difference of shares, or `ks`, the largest distance of the distribution
    functions of numbers; what is no number is then tested by `linf`. Without `threshold` it is
    0.02, 0.2, 0.1 and 0.1. `features` are exceptions, by name or by a pattern with *, `without`
    such patterns of what is not compared. An alarm has a chance of `chance` at most, `correction`
    being `holm` or `none`. With fewer rows than `rows` nothing is said.
    """

    enabled: bool = True
    test: str = JS
    threshold: float | None = None
    features: dict[str, FeatureTest] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    chance: float = 0.01
    correction: str = "holm"
    rows: int = 100
    bins: int = 10

    def __post_init__(self) -> None:
        _check_choice("test", self.test, TESTS)
        _check_choice("correction", self.correction, CORRECTIONS)
        _check_chance(self.chance)
        if self.bins < 2:
            raise ParameterError(f"expected two bins or more, got {self.bins}")

    def of(self, feature: str) -> FeatureTest:
        """Return how a feature is tested: by its name, else by the first pattern that fits it."""
        if any(fnmatchcase(feature, pattern) for pattern in self.without):
            return FeatureTest(enabled=False)
        fitting = (e for pattern, e in self.features.items() if fnmatchcase(feature, pattern))
        exception = self.features.get(feature) or next(fitting, FeatureTest())
        test = exception.test or self.test
        same = exception.test in (None, self.test)
        default = self.threshold if same and self.threshold is not None else THRESHOLDS[test]
        threshold = default if exception.threshold is None else exception.threshold
        return FeatureTest(test, threshold, exception.enabled)


def _check_choice(what: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise ParameterError(
            f"expected a {what} of {', '.join(choices)}, got {given!r}",
            hint=suggestion(given, choices, noun=what),
        )


def _check_chance(chance: float) -> None:
    if not 0 < chance < 1:
        raise ParameterError(f"expected a chance between 0 and 1, got {chance:g}")
