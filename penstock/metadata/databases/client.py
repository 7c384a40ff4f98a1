"""ML Metadata's client, safe for several processes at once.

A call of the client is one transaction: it happens as a whole or not at all. So a call that lost
against another process is made again. Where that is not enough, because the database holds out no
rule that would make one of two lose, the call is made under the database's lock: always with
SQLite, and with servers when tables or types are made.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NoReturn

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.databases import filtering, requests
from penstock.metadata.databases.database import Database
from penstock.metadata.databases.limits import declared_by, is_refusal, make_fit
from penstock.metadata.databases.locking import locked_for_long
from penstock.metadata.databases.patience import Patience
from penstock.metadata.databases.queries import UnknownQueryError
from penstock.metadata.databases.requests import UnusableRequestError

_errors = _tfx.ml_metadata.errors
_service = _tfx.metadata_store_service_pb2
# Another process was first, say MySQL, MariaDB and PostgreSQL: the same call will do now.
_LOST = re.compile(
    "deadlock|could not serialize|lock wait timeout|record has changed since last read"
    "|tuple concurrently updated",
    re.IGNORECASE,
)
# Another process wrote the same thing, which a second call will find; or the caller did.
_WRITTEN_ALREADY = re.compile("duplicate|unique constraint", re.IGNORECASE)
_SECOND_TRIES = 3
# A transaction failed so, as on a full disk, that it could not be rolled back either. The call that
# finds it open was not made.
_STUCK = "Transaction already open"
_FROM_POSTGRESQL = "PostgreSQL metadata source error: "
_FROM_SQLITE = "Error when executing query: "
_TYPE_CALLS = {
    "PutArtifactType": ("GetArtifactType", "artifact_type"),
    "PutExecutionType": ("GetExecutionType", "execution_type"),
    "PutContextType": ("GetContextType", "context_type"),
}


class Store(_tfx.ml_metadata.MetadataStore):
    """ML Metadata's client for a database that other processes use at the same time."""

    def __init__(self, database: Database, *, settings: Any = None, upgrade: bool = False) -> None:
        self._database = database
        self._settings = settings or database.settings()
        self._has_queries = True
        self._makes_fit = False
        self._changed: list[str] = []
        self._connect(upgrade=upgrade)

    def answer(self, method_name: str, request: Any, response: Any) -> None:
        """Call a method of ML Metadata's service by its name, and fill in the response.

        Raises:
          StoreError: the store is at fault.
          StatusError: ML Metadata's own, for all other errors.
        """
        self._call(method_name, request, response)

    def close(self) -> None:
        """Let go of the connection; a call that comes after all makes another."""

    def another(self, patience: Patience) -> Store:
        """Return another connection to the store, which the first keeps from nothing."""
        database = replace(self._database, patience=patience)  # type: ignore[type-var]
        return type(self)(database, settings=self._settings)

    @contextmanager
    def fitting(self) -> Iterator[None]:
        """Write what the database refuses of executions and artifacts once more, made to fit."""
        before, self._makes_fit = self._makes_fit, True
        try:
            yield
        finally:
            self._makes_fit = before

    def take_changed(self) -> list[str]:
        """Return, once, what was written otherwise than asked for, as the database refused it."""
        changed, self._changed = self._changed, []
        return changed

    def _connect(self, *, upgrade: bool = False) -> None:
        super().__init__(self._settings, enable_upgrade_migration=upgrade)

    def _call(
        self, method_name: str, request: Any, response: Any, extra_options: Any = None
    ) -> None:
        self._try(method_name, request, response)
        _check_name(self._database, method_name, request, response)
        self._database.decode(response)

    def _try(self, method_name: str, request: Any, response: Any) -> None:
        """Make a call, as often as others keep it from being done."""
        deadline = time.monotonic() + self._database.wait_seconds
        tries, fitted = 0, False
        ask = self._ask_with(method_name, request)
        while True:
            try:
                with self._guard(method_name, request):
                    ask(method_name, request, response)
                return
            except _errors.StatusError as error:
                tries += 1
                text = str(error)
                if _STUCK in text and tries <= _SECOND_TRIES:
                    self._connect_again(deadline, error)
                elif isinstance(error, _errors.AbortedError) or _LOST.search(text):
                    if time.monotonic() > deadline:
                        raise locked_for_long(
                            self._database.where, self._database.wait_seconds
                        ) from error
                elif self._makes_fit and not fitted and _is_refused(method_name, error):
                    fitted = True
                    changed = make_fit(request, self._database.limits, declared_by(self))
                    if not changed:
                        self._raise(error, method_name)
                    self._changed += changed
                elif tries > _SECOND_TRIES or not _may_be_a_race(method_name, error):
                    self._raise(error, method_name)
            time.sleep(random.uniform(0, min(0.5, 0.002 * 2**tries)))

    def _ask_with(self, method_name: str, request: Any) -> filtering.Call:
        """Return what makes a call, whose request is then as the store may be asked it."""
        try:
            requests.check(method_name, request)
            if not filtering.write_anew(method_name, request):
                return self._judge
        except (UnknownQueryError, UnusableRequestError) as error:
            raise _errors.InvalidArgumentError(str(error)) from error
        self._database.encode(request)
        return self._call_method

    def _call_method(self, method_name: str, request: Any, response: Any) -> None:
        """Make a call; a query that the store cannot answer is answered here."""
        is_query = filtering.asks_a_query(method_name, request)
        if self._has_queries or not is_query:
            try:
                self._ask(method_name, request, response)
                return
            except _errors.StatusError as error:
                if not is_query:
                    raise
                if filtering.has_no_queries(error):
                    self._has_queries = False
                elif not filtering.has_no_order(str(error)):
                    raise
        self._database.decode(request)
        self._judge(method_name, request, response)

    def _judge(self, method_name: str, request: Any, response: Any) -> None:
        """Answer a query without the store's help."""

        def ask_decoded(method_name: str, request: Any, response: Any) -> None:
            self._database.encode(request)
            self._call_method(method_name, request, response)
            self._database.decode(response)

        try:
            filtering.answer(ask_decoded, method_name, request, response)
        except UnknownQueryError as error:
            raise _errors.InvalidArgumentError(str(error)) from error

    def _ask(self, method_name: str, request: Any, response: Any) -> None:
        super()._call_method(method_name, request, response)

    def _connect_again(self, deadline: float, stuck: Exception) -> None:
        while True:
            try:
                with self._guard("", None):
                    self._connect()
                return
            except RuntimeError:
                if time.monotonic() > deadline:
                    self._raise(stuck, "connecting")
            time.sleep(random.uniform(0.05, 0.2))

    def _guard(self, method_name: str, request: Any) -> AbstractContextManager[None]:
        makes_a_type = method_name == "PutTypes" or (
            method_name in _TYPE_CALLS and not self._has_type(method_name, request)
        )
        if self._database.locks_each_call or makes_a_type:
            return self._database.exclusively()
        return nullcontext()

    def _has_type(self, method_name: str, request: Any) -> bool:
        if self._database.locks_each_call:
            return True
        getter, field = _TYPE_CALLS[method_name]
        wanted = getattr(request, field)
        type_request = getattr(_service, f"{getter}Request")(
            type_name=wanted.name, type_version=wanted.version or None
        )
        try:
            self._call_method(getter, type_request, getattr(_service, f"{getter}Response")())
        except _errors.NotFoundError:
            return False
        return True

    def _raise(self, error: Any, method_name: str) -> NoReturn:
        """Raise an error as it is, for TFX, or as ours where the store is at fault."""
        if isinstance(error, _errors.InternalError | _errors.UnavailableError):
            message = plain_message(str(error))
            hint = self._database.explain(message)
            if is_refusal(message):
                raise RefusedError(
                    f"the metadata store {self._database.where} refuses what was to be written: "
                    f"{message}",
                    hint=hint,
                ) from error
            raise StoreError(
                f"the metadata store {self._database.where} failed: {message}", hint=hint
            ) from error
        raise error


class RefusedError(StoreError):
    """The store works, and cannot hold what was to be written."""


def is_about_content(text: str) -> bool:
    """Whether an error is about what was to be written, or about others who write, and not more."""
    return bool(
        _STUCK in text
        or filtering.has_no_order(text)
        or _LOST.search(text)
        or _WRITTEN_ALREADY.search(text)
        or is_refusal(plain_message(text))
    )


def _is_refused(method_name: str, error: Any) -> bool:
    """Whether the store works, and refuses what was to be written of an execution."""
    if not method_name.startswith(("PutExecution", "PutArtifacts", "PutLineage")):
        return False
    if isinstance(error, _errors.InternalError):
        return is_refusal(plain_message(str(error)))
    return isinstance(error, _errors.InvalidArgumentError | _errors.AlreadyExistsError)


def _may_be_a_race(method_name: str, error: Any) -> bool:
    if isinstance(error, _errors.AlreadyExistsError):
        return method_name in _TYPE_CALLS or method_name == "PutTypes"
    return isinstance(error, _errors.InternalError) and bool(_WRITTEN_ALREADY.search(str(error)))


def _check_name(database: Database, method_name: str, request: Any, response: Any) -> None:
    """Refuse what a database found that takes names for one that differ in case alone."""
    if method_name == "GetContextByTypeAndName":
        name, field = request.context_name, "context"
    elif method_name in ("GetArtifactType", "GetExecutionType", "GetContextType"):
        name, field = request.type_name, _field_of(method_name)
    else:
        return
    stored_name = getattr(response, field).name
    if stored_name and stored_name != name and stored_name.casefold() == name.casefold():
        raise StoreError(
            f"the metadata store {database.where} takes {name!r} for {stored_name!r}, which it has",
            hint="Its database compares names without regard to case: choose another name, or "
            "convert its tables to the collation utf8mb4_bin.",
        )


def _field_of(method_name: str) -> str:
    return dict(_TYPE_CALLS.values())[method_name]


def plain_message(text: str) -> str:
    """Return what the database said, of all that ML Metadata says around it.

    That includes the statement, which may be of any length.
    """
    if "errno: " in text:
        text = text.partition("errno: ")[2].partition(", error: ")[2] or text
    if _FROM_POSTGRESQL in text:
        text = text.partition(_FROM_POSTGRESQL)[2].removeprefix("ERROR:")
    text = text.partition(_FROM_SQLITE)[2] or text
    text = re.split(r"\n| query: ", text.strip(), maxsplit=1)[0]
    return text.strip() or "the database gave no reason"
