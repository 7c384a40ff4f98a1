"""Distributions of a window beside those of its baseline, as charts."""

from __future__ import annotations

from markupsafe import Markup

from penstock.monitoring.measures import Histogram
from penstock.report import timelines
from penstock.report.wording import quantity, share

# More bins would be lines.
_MOST_BINS = 24


def distribution(histogram: Histogram) -> Markup:
    """Draw how values are distributed now, beside how they were."""
    bins = range(min(len(histogram.bins), _MOST_BINS))
    names = [histogram.bins[n] for n in bins]
    if not names:
        return Markup()
    shares = [histogram.shares[n] for n in bins]
    reference = [histogram.reference[n] for n in bins]
    ends = (names[0], names[-1] if len(names) > 1 else "")
    if histogram.edges:
        ends = (quantity(histogram.edges[0]), quantity(histogram.edges[-1]))
    at = max(bins, key=lambda n: abs(shares[n] - reference[n]))
    told = (
        f"Values of {histogram.subject}: {share(shares[at], 1.0)} are {names[at]}, "
        f"{share(reference[at], 1.0)} were"
    )
    if histogram.missing or histogram.reference_missing:
        missing = (share(part, 1.0) for part in (histogram.missing, histogram.reference_missing))
        told += "; {} are missing, {} were".format(*missing)
    return timelines.beside(shares, reference, told, ends)
