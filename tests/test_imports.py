from __future__ import annotations

import json
import subprocess
import sys

import pytest

import penstock

pytestmark = pytest.mark.core

HEAVY = ("tensorflow", "apache_beam", "kfp", "ml_metadata", "pandas", "tfx")


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_penstock_loads_nothing_heavy():
    assert not modules_after("import penstock") & set(HEAVY)


@pytest.mark.parametrize("name", ["flights", "penguins"])
def test_defining_and_compiling_a_pipeline_loads_no_data_library(name):
    loaded = modules_after(
        "import penstock\n"
        f"from penstock.pipelines.{name}.pipeline import {name}\n"
        f"penstock.compile_pipeline({name}, pipeline_root='/tmp/nowhere')"
    )
    assert not loaded & {"tensorflow", "apache_beam", "kfp", "pandas", "tensorflow_transform"}
    assert not loaded & {"numpy", "pyarrow"}


def test_compiling_the_pipeline_of_a_monitor_loads_no_data_library():
    loaded = modules_after(
        "import penstock\n"
        "from penstock.pipelines.monitor.pipeline import pipeline_of\n"
        "from penstock.project.monitors import Labels, Monitor\n"
        "labels = Labels('labels/*.csv', 'late')\n"
        "monitor = Monitor(log='log/a', log_span='day', model='a', name='a', labels=labels)\n"
        "penstock.compile_pipeline(pipeline_of(monitor), pipeline_root='/tmp/nowhere')"
    )
    assert not loaded & {"tensorflow", "pandas", "numpy", "pyarrow"}


def test_the_report_loads_data_libraries_for_runs_alone_that_have_files_of_records():
    assert not modules_after("import penstock.report.page") & {"numpy", "pyarrow"}


@pytest.mark.needs("tensorflow")
def test_tensorflow_can_be_imported_after_tfx_was_loaded_without_it():
    code = "import penstock._tfx, importlib.util, sys\n"
    code += "assert 'tensorflow' not in sys.modules\n"
    code += "assert importlib.util.find_spec('tensorflow') is not None"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", penstock.__all__)
def test_every_public_name_is_there(name):
    assert getattr(penstock, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = penstock.nonsense


def test_a_csv_file_becomes_examples_without_pandas(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("number,share,text,none\n1,0.5,word,\n,1,,\n")
    loaded = modules_after(
        "from penstock.data import csv\nfrom penstock.data.coding import examples\n"
        f"[batch] = csv.read_csv([{str(path)!r}])\n"
        "assert len(examples.encode(batch)) == 2"
    )
    assert "pyarrow" in loaded
    assert "pandas" not in loaded


@pytest.mark.needs("tfx.components")
def test_a_module_of_tfxs_library_is_imported_without_the_library_and_stays_when_that_comes():
    loaded = modules_after(
        "import sys\n"
        "from penstock import _tfx\n"
        "name = 'tfx.components.trainer.fn_args_utils'\n"
        "module = _tfx.import_library_module(name)\n"
        "assert 'tfx.components.tuner.component' not in sys.modules\n"
        "from tfx.components import Trainer\n"
        "from tfx.components.trainer import fn_args_utils\n"
        "assert fn_args_utils is module"
    )
    assert "tfx.components.tuner.component" in loaded


@pytest.mark.needs("tfx.components")
def test_modules_of_tfxs_library_are_reached_by_their_path_when_it_has_not_been_imported():
    loaded = modules_after(
        "from penstock import _tfx\n"
        "_tfx.import_library_module('tfx.components.trainer.fn_args_utils')\n"
        "import tfx.components.trainer.fn_args_utils\n"
        "assert tfx.components.trainer.fn_args_utils.FnArgs\n"
        "import tfx.components.util.examples_utils\n"
        "assert tfx.components.util.examples_utils.get_payload_format"
    )
    assert "tfx.components.tuner.component" not in loaded


@pytest.mark.needs("tfx.components")
def test_tfxs_library_itself_is_imported_whole_after_one_of_its_modules():
    loaded = modules_after(
        "from penstock import _tfx\n"
        "_tfx.import_library_module('tfx.components.trainer.fn_args_utils')\n"
        "_tfx.import_library_module('tfx.components')"
    )
    assert "tfx.components.tuner.component" in loaded


def test_the_client_of_googles_services_is_imported_with_telemetry_alone():
    assert "googleapiclient" not in modules_after("import penstock._tfx.core")


@pytest.mark.needs("googleapiclient")
def test_telemetry_of_tfx_that_is_imported_later_derives_from_the_client_of_googles_services():
    code = "import penstock._tfx.core\nfrom tfx.utils import telemetry_utils\n"
    code += "from googleapiclient import http\n"
    code += "assert issubclass(telemetry_utils.TFXHttpRequest, http.HttpRequest)\n"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


def test_core_leaves_grpc_to_who_calls_a_server():
    assert "grpc" not in modules_after("import penstock.runners.local.runner")


def test_what_stands_for_grpc_has_its_status_codes():
    import grpc

    from penstock._tfx.remote_calls import StatusCode

    assert [(c.name, c.value) for c in StatusCode] == [(c.name, c.value) for c in grpc.StatusCode]
