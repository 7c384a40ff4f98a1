"""The forms in which a model is asked: each reads a body into columns, and writes predictions.

A verb is the number of a form in what a server tells its workers.
"""

from __future__ import annotations

from penstock.serving.protocols import inference, plain, tensorflow_serving
from penstock.serving.protocols.form import Form

VERBS: tuple[Form, ...] = (
    plain.ROWS,
    tensorflow_serving.PREDICT,
    tensorflow_serving.CLASSIFY,
    tensorflow_serving.REGRESS,
    inference.INFER,
)
ROWS, PREDICT, CLASSIFY, REGRESS, INFER = range(len(VERBS))
