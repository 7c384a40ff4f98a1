"""ML Metadata's client for stores that others keep: they may be away, hang, or cut a connection.

A store that is away is waited for, as long as the caller's patience says, and the call is made
again. One that changes something may have been done before its answer was lost, so that it is first
looked up in the store what became of it (`fates`).
"""

from __future__ import annotations

import re
import sys
import time
from typing import Any, NoReturn

from penstock import _tfx
from penstock.metadata.databases import fates, native_main
from penstock.metadata.databases.client import Store, is_about_content, plain_message
from penstock.metadata.databases.native import LostError, NativeClient
from penstock.metadata.databases.patience import RESUME, StoreAway, Wait
from penstock.metadata.databases.remote import Remote

_errors = _tfx.ml_metadata.errors
# The server was restarted, or closed a connection that was idle for long.
_CUT = re.compile(
    "gone away|lost connection|disconnected by the server|terminating connection"
    "|no connection to the server|server closed the connection|connection has been closed"
    "|could not (receive|send) data|shutdown in progress|the database system is",
    re.IGNORECASE,
)
_CONNECT_SECONDS = 30.0
_UPGRADE_SECONDS = 86_400.0
_SLICE_SECONDS = 0.2


class _LostAnswer(StoreAway):
    """A store that has had a request and has not answered it."""


class DistantStore(Store):
    """A client for a store that others keep."""

    _doubt: fates.Doubt | None = None
    # By how much the clock of whoever writes times into the store may be behind this one.
    _slow_clock_seconds = 0.0
    # How often the answer to one call may be lost.
    _most_losses = sys.maxsize

    def _try(self, method_name: str, request: Any, response: Any) -> None:
        if not self._database.locks_each_call:
            fates.make_findable(request)
        before = self._doubt
        self._doubt = fates.Doubt(time.time() - self._slow_clock_seconds)
        wait = Wait(self._database.patience)
        try:
            while True:
                try:
                    super()._try(method_name, request, response)
                    return
                except StoreAway as away:
                    if not fates.makes_types(method_name):
                        raise
                    # Once more from the beginning, for the lock was lost too.
                    wait.pause(away)
        finally:
            self._doubt = before

    def _call_method(self, method_name: str, request: Any, response: Any) -> None:
        """Make a call until it is answered, or found to have been done."""
        if fates.makes_types(method_name):
            super()._call_method(method_name, request, response)
            return
        is_change = not method_name.startswith("Get")
        wait, losses = Wait(self._database.patience), 0
        failed: Exception | None = None
        while True:
            try:
                if is_change and self._doubt is not None and self._doubt.exists:
                    self._database.settle(fates.changed_executions(request))
                    if fates.was_done(self._ask, method_name, request, response, self._doubt):
                        return
                    if failed is not None:
                        raise failed
                super()._call_method(method_name, request, response)
                return
            except _LostAnswer as away:
                losses += 1
                if losses > self._most_losses:
                    raise
                failed = None
                if is_change and self._doubt is not None:
                    self._doubt.exists = True
                wait.pause(away)
            except StoreAway as away:
                wait.pause(away)
            except _errors.StatusError as error:
                if error is failed or not (is_change and self._doubt and self._doubt.exists):
                    raise
                failed = error  # perhaps since it was done before


class BesideStore(DistantStore):
    """A client whose native part is in a process of its own, as for databases of servers."""

    _client: NativeClient | None = None
    # What crashes each client, or is too large for each connection, is given up.
    _most_losses = 5

    def close(self) -> None:
        """End the process; a call that comes after all starts another."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connect(self, *, upgrade: bool = False) -> None:
        self.close()
        patience, limit = self._database.patience, self._database.patience.call_seconds
        client = NativeClient(lambda: patience.meanwhile(""))
        options = _tfx.metadata_store_pb2.MigrationOptions(enable_upgrade_migration=upgrade)
        try:
            answer = client.ask(
                native_main.CREATE,
                self._settings.SerializeToString(),
                options.SerializeToString(),
                seconds=_UPGRADE_SECONDS if upgrade else min(_CONNECT_SECONDS, limit),
            )
        except LostError as lost:
            client.close()
            raise self._away(StoreAway, str(lost)) from lost
        if answer.code:
            client.close()
            raise RuntimeError(answer.text)
        self._client = client

    def _ask(self, method_name: str, request: Any, response: Any) -> None:
        client = self._client or self._reconnected()
        try:
            answer = client.ask(
                method_name,
                request.SerializeToString(),
                seconds=self._database.patience.call_seconds,
            )
        except LostError as lost:
            self.close()
            raise self._away(_LostAnswer, str(lost)) from lost
        except BaseException:
            self.close()
            raise
        if not answer.code:
            response.ParseFromString(answer.response)
            return
        error = _errors.make_exception(answer.text, answer.code)
        if isinstance(error, _errors.InternalError | _errors.UnknownError):
            self._look_at(error)
        raise error

    def _look_at(self, error: Any) -> None:
        """Never use a connection again that may be broken; see whether it is the server that is."""
        text = str(error)
        if is_about_content(text):
            return
        self.close()
        if _CUT.search(text) or not text.strip():
            raise self._away(_LostAnswer, plain_message(text)) from error
        try:
            self._reconnected()
        except StoreAway:
            raise self._away(_LostAnswer, plain_message(text)) from error

    def _reconnected(self) -> NativeClient:
        try:
            self._connect()
        except RuntimeError as error:
            self._database.exists()  # which says why, where the native client does not
            raise self._away(StoreAway, plain_message(str(error))) from error
        assert self._client is not None
        return self._client

    def _away(self, kind: type[StoreAway], reason: str) -> StoreAway:
        hint = self._database.explain(reason) or RESUME
        return kind(
            f"the metadata store {self._database.where} does not answer: {reason}", hint=hint
        )


class RemoteStore(DistantStore):
    """ML Metadata's client for a server that sees to it that its clients do not collide."""

    _database: Remote
    _slow_clock_seconds = 60.0

    def _get_channel(self, config: Any) -> Any:
        return self._database.channel()

    def _ask(self, method_name: str, request: Any, response: Any) -> None:
        import grpc

        patience = self._database.patience
        call = getattr(self._metadata_store_stub, method_name)
        pending = call.future(request, timeout=patience.call_seconds)
        try:
            while True:
                try:
                    response.CopyFrom(pending.result(timeout=_SLICE_SECONDS))
                    return
                except grpc.FutureTimeoutError:
                    patience.meanwhile("")
        except grpc.RpcError as failed:
            error = _errors.make_exception(failed.details(), failed.code().value[0])
            if isinstance(
                error,
                _errors.UnavailableError | _errors.CancelledError | _errors.DeadlineExceededError,
            ):
                away = self._database.failure(error, method_name, plain_message(str(error)))
                assert away is not None
                raise _LostAnswer(away.message, hint=away.hint) from error
            raise error from failed
        finally:
            pending.cancel()

    def _guard(self, method_name: str, request: Any) -> Any:
        return self._database.exclusively()

    def _raise(self, error: Any, method_name: str) -> NoReturn:
        failure = self._database.failure(error, method_name, plain_message(str(error)))
        if failure is None:
            raise error
        raise failure from error
