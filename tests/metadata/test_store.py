from __future__ import annotations

import os

import pytest

from penstock.errors import StoreError
from penstock.metadata.store import connect, connection_config, without_password

pytestmark = pytest.mark.core


def test_a_path_is_an_sqlite_store(tmp_path):
    config = connection_config(str(tmp_path / "db"))
    assert config.sqlite.filename_uri == str(tmp_path / "db")


def test_an_sqlite_address_is_relative_with_three_slashes_and_absolute_with_four():
    assert connection_config("sqlite:////var/db").sqlite.filename_uri == "/var/db"
    relative = connection_config("sqlite:///db").sqlite.filename_uri
    assert relative == os.path.join(os.getcwd(), "db")


def test_a_mysql_address_has_its_parts():
    mysql = connection_config("mysql://me:p%40ss@host/mlmd").mysql
    assert (mysql.host, mysql.port, mysql.database) == ("host", 3306, "mlmd")
    assert (mysql.user, mysql.password) == ("me", "p@ss")


def test_a_postgresql_address_has_its_parts():
    postgresql = connection_config("postgresql://me:pass@host:6543/mlmd").postgresql
    assert (postgresql.host, postgresql.port, postgresql.dbname) == ("host", "6543", "mlmd")


@pytest.mark.parametrize("address", ["oracle://host/db", "mysql://host", "sqlite://"])
def test_another_address_is_refused_with_the_forms_there_are(address):
    with pytest.raises(StoreError, match="Write it as one of: sqlite:///"):
        connection_config(address)


def test_a_password_is_not_shown():
    assert without_password("mysql://me:secret@host/db") == "mysql://me:***@host/db"


def test_a_store_is_made_where_there_is_none(tmp_path):
    path = tmp_path / "new" / "db"
    with connect(connection_config(str(path))) as metadata:
        assert metadata.store.get_executions() == []
    assert path.exists()


def test_a_store_can_be_required_to_exist(tmp_path):
    config = connection_config(str(tmp_path / "db"))
    with pytest.raises(StoreError, match="no metadata store at .*made by the first run"):
        with connect(config, create=False):
            pass


def test_a_file_that_is_no_store_is_a_named_error(tmp_path):
    path = tmp_path / "db"
    path.write_text("this is no database at all, whatever its name may be " * 50)
    with pytest.raises(StoreError, match=f"the metadata store {path} cannot be used"):
        with connect(connection_config(str(path))):
            pass
