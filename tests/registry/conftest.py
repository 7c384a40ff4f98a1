"""Stores of every kind."""

from penstock_support.store_fixtures import (  # noqa: F401  # found by their names
    mariadb,
    new_address,
    postgresql,
    server,
)
