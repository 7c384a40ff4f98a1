"""The bytes of all bodies that a model's requests have together: bounded, and given back."""

from __future__ import annotations

from penstock.serving.server.models import OverloadedError, ServedModel


class BodyShare:
    """What the body of one request takes of the bytes that a model holds, until it is left."""

    def __init__(self, model: ServedModel) -> None:
        self._model, self._bytes = model, 0

    def __enter__(self) -> BodyShare:
        return self

    def __exit__(self, *_: object) -> None:
        self._model.body_bytes -= self._bytes

    def add(self, size: int) -> None:
        """Take some bytes more.

        Raises:
          OverloadedError: the model holds too many already.
        """
        model = self._model
        most = model.limits.bodies * model.limits.body_bytes
        if model.body_bytes + size > most:
            model.refusals += 1
            raise OverloadedError(f"requests for {model.name} have more than {most} bytes already")
        model.body_bytes += size
        self._bytes += size
