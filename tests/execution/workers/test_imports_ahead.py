"""What a nursery imports before workers need it."""

from __future__ import annotations

import gc

import pytest

from penstock.execution.workers.nursery_process import import_ahead


@pytest.fixture(autouse=True)
def _unfrozen():
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("module", ["this", "no_module_has_this_name"])
def test_the_collector_works_on_and_leaves_alone_what_was_imported(module, capsys):
    import_ahead(module)
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    told = "ModuleNotFoundError" in capsys.readouterr().err
    assert told == (module != "this")
