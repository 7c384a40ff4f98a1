"""The process of ML Metadata's native client."""

from __future__ import annotations

import os
import signal
import threading
from math import inf

import pytest

from penstock._tfx import metadata_store_pb2 as proto
from penstock.metadata.databases.patience import Patience, StoreAway
from penstock.metadata.store import connect, connection_config
from penstock_support import PROGRAMS
from penstock_support.processes import Family, wait_until


@pytest.mark.parametrize("is_cut", [False, True], ids=["asks", "waits for an answer"])
def test_it_ends_with_the_process_that_asks(proxy, cut_address, is_cut):
    family = Family(str(PROGRAMS / "asking.py"), (cut_address,))
    process = family.start()
    assert process.stdout.readline() == "asking\n"
    if is_cut:
        proxy.cut()
    assert len(family.alive()) == 2
    process.kill()
    process.communicate()
    family.wait_for_its_end()


def test_it_ends_with_the_connection(address):
    with connect(connection_config(address)) as metadata:
        process_id = metadata.store._client.process_id
        os.kill(process_id, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_what_comes_while_it_works_does_not_end_it(proxy, cut_address):
    with connect(connection_config(cut_address)) as metadata:
        client = metadata.store._client
        proxy.cut()
        threading.Timer(0.5, client._send, (b"\0", inf)).start()
        threading.Timer(1.0, proxy.mend).start()
        assert metadata.store.get_contexts() == []
        os.kill(client.process_id, 0)


def test_what_crashes_every_client_is_given_up(address, monkeypatch):
    with connect(connection_config(address)) as metadata:
        client = type(metadata.store._client)
        original = client._send

        def crashing(self, content, deadline):
            if b"GetArtifacts" in content:
                os.kill(self.process_id, signal.SIGSEGV)
            original(self, content, deadline)

        monkeypatch.setattr(client, "_send", crashing)
        with pytest.raises(StoreAway, match="its client's process was ended by SIGSEGV"):
            metadata.store.get_artifacts()
        assert metadata.store.get_contexts() == []


def test_a_request_without_an_answer_counts_as_lost_after_its_limit(proxy, cut_address):
    patience = Patience(seconds=0.0, call_seconds=1.0)
    with connect(connection_config(cut_address)):
        pass
    with connect(connection_config(cut_address), patience=patience) as metadata:
        proxy.cut()
        with pytest.raises(StoreAway, match="has not answered GetContexts within 1 seconds"):
            metadata.store.get_contexts()
        proxy.mend()
        kind = metadata.store.put_context_type(proto.ContextType(name="kind"))
        wait_until(lambda: metadata.store.get_context_type("kind").id == kind)
