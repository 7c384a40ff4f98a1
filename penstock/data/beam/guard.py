"""What cancels a job of Beam's when the process is gone that has asked for it.

    python -m penstock.data.beam.guard ENDPOINT JOB

It waits for the end of its standard input, which a process that is killed closes too. One whose
job is over says so before.
"""

from __future__ import annotations

import sys

_CANCEL = "/org.apache.beam.model.job_management.v1.JobService/Cancel"
_TIMEOUT_SECONDS = 30


def cancel(endpoint: str, job_id: str) -> None:
    """Ask a job service to cancel a job."""
    import grpc
    from google.protobuf.wrappers_pb2 import StringValue

    # A request is a message with one text in its first field, as a StringValue is: Beam itself
    # would take seconds to import.
    with grpc.insecure_channel(endpoint) as channel:
        request = StringValue(value=job_id).SerializeToString()
        channel.unary_unary(_CANCEL)(request, timeout=_TIMEOUT_SECONDS)


if __name__ == "__main__":
    if not sys.stdin.buffer.read():
        cancel(*sys.argv[1:])
