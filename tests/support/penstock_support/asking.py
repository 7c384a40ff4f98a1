"""A process that asks a store, whose address is its argument, until it is ended."""

from __future__ import annotations

import sys

from penstock.metadata.store import connect, connection_config


def main(address: str) -> None:
    with connect(connection_config(address)) as metadata:
        print("asking", flush=True)
        while True:
            metadata.store.get_context_types()


if __name__ == "__main__":
    main(sys.argv[1])
