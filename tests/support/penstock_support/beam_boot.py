"""What a runner of Beam starts as a worker's process: it asks for its addresses, and becomes it.

beam_boot.py --id=ID --provision_endpoint=HOST:PORT, as Beam's container contract has it.
"""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format


def main() -> None:
    """Become the worker that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    named = parser.parse_args()
    # Prism starts a process with quotes that a shell would have taken away.
    worker = named.id.strip("'")
    with grpc.insecure_channel(named.provision_endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        info = stub.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(), metadata=[("worker_id", worker)]
        ).info
    environment = {
        **os.environ,
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": _text(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": _text(info.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    module = "apache_beam.runners.worker.sdk_worker_main"
    os.execve(sys.executable, [sys.executable, "-m", module], environment)


def _text(endpoint: endpoints_pb2.ApiServiceDescriptor) -> str:
    return text_format.MessageToString(endpoint)


if __name__ == "__main__":
    main()
