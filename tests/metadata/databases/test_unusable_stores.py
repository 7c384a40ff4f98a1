"""A store that cannot be used is named with what is wrong and what to do."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from penstock import LocalRunner
from penstock._tfx import metadata_store_pb2, ml_metadata
from penstock.errors import StoreError
from penstock.metadata.databases.opening import database_of
from penstock.metadata.databases.patience import Patience
from penstock.metadata.databases.sqlite import SqliteFile
from penstock.metadata.databases.upgrade import upgrade
from penstock.metadata.store import connect, connection_config
from penstock_support import IMPORT_PATH, servers
from penstock_support.example_components import training


def refusal(address: str, *, create: bool = True, wait_seconds: float = 0.1) -> str:
    """Return the text of the error that connecting gives."""
    patience = Patience(seconds=0)
    with pytest.raises(StoreError) as raised:
        with connect(
            connection_config(address), create=create, wait_seconds=wait_seconds, patience=patience
        ):
            pass
    return str(raised.value)


def failure(address: str, change) -> str:
    """Return the text of the error that a change of an open store gives."""
    with connect(connection_config(address), wait_seconds=0.1) as metadata:
        with pytest.raises(StoreError) as raised:
            change(metadata.store)
    return str(raised.value)


def put_type(store, name: str = "a type") -> int:
    return store.put_artifact_type(ml_metadata.proto.ArtifactType(name=name))


def test_a_store_that_is_moved_away_while_it_is_opened_is_not_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "metadata.sqlite"
    path.touch()
    monkeypatch.setattr(SqliteFile, "exists", lambda _: path.unlink() is None)
    assert f"there is no metadata store at {path}" in refusal(str(path), create=False)
    assert not path.exists()


@pytest.fixture
def sqlite_store(tmp_path):
    path = tmp_path / "metadata.sqlite"
    with connect(connection_config(str(path))) as metadata:
        put_type(metadata.store)
    return path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("this is no database at all, whatever its name may be " * 50)
    assert refusal(str(path)) == (
        f"the metadata store {path} cannot be used: the file is no SQLite database. "
        "Name another file in the profile."
    )
    assert path.read_text().startswith("this is no database")


def test_a_file_without_a_folder_is_made_where_the_process_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = "store.db"
    with connect(connection):
        assert (tmp_path / "store.db").exists()


@pytest.fixture(params=["an empty file", "a database without tables"])
def no_store(request, tmp_path):
    path = tmp_path / "metadata.sqlite"
    if request.param == "an empty file":
        path.touch(0o640)
    else:
        change(path, "VACUUM")
        assert path.stat().st_size
    return path


def test_a_store_is_made_in_a_file_without_one_which_stays_the_same_file(no_store):
    before = no_store.stat()
    with connect(connection_config(str(no_store))) as metadata:
        assert put_type(metadata.store)
    after = no_store.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


def test_a_file_without_a_store_is_no_store_to_a_reader_and_stays_as_it_is(no_store):
    before = no_store.read_bytes()
    assert refusal(str(no_store), create=False) == (
        f"there is no metadata store at {no_store}. It is made by the first run: "
        "penstock run PIPELINE."
    )
    assert no_store.read_bytes() == before


def test_a_store_that_found_no_room_in_a_file_is_made_once_there_is(no_store):
    with no_room_beyond(20_000):
        assert "cannot be used: disk I/O error" in refusal(str(no_store))
    assert "there is no metadata store" in refusal(str(no_store), create=False)
    with connect(connection_config(str(no_store))) as metadata:
        assert put_type(metadata.store)


def test_a_reader_of_what_is_still_to_be_made_leaves_nothing_behind(tmp_path):
    path = tmp_path / "metadata.sqlite"
    refusal(str(path), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder(tmp_path):
    assert "cannot be used: it is a folder. Name a file in it." in refusal(str(tmp_path))


def test_a_database_that_is_cut_off(sqlite_store):
    os.truncate(sqlite_store, sqlite_store.stat().st_size - 5000)
    assert refusal(str(sqlite_store)) == (
        f"the metadata store {sqlite_store} cannot be used: the file is damaged or cut off "
        "(database disk image is malformed). Put a copy of the store in its place, or move it away "
        "to let the next run make a new store."
    )


def test_a_database_that_is_overwritten_in_its_middle(sqlite_store):
    with sqlite_store.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 65536)
    assert "Put a copy of the store in its place" in refusal(str(sqlite_store))


def test_a_database_of_another_program(tmp_path):
    path = tmp_path / "other.sqlite"
    change(path, "CREATE TABLE albums (title TEXT)")
    assert refusal(str(path)) == (
        f"the metadata store {path} cannot be used: it is a database of another program, with the "
        "tables albums. Name another file in the profile."
    )


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").touch()
    assert "its folder cannot be made: " in refusal(str(tmp_path / "file" / "metadata.sqlite"))


def test_a_store_that_another_process_of_ours_holds(sqlite_store):
    with open(f"{sqlite_store}.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refusal(str(sqlite_store)) == (
            f"the metadata store {sqlite_store} has been locked by process {os.getpid()} for more "
            "than 0.1 seconds. Wait for that process or end it, then try again."
        )


def test_a_store_that_another_program_holds(sqlite_store):
    with closing(sqlite3.connect(sqlite_store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert refusal(str(sqlite_store)) == (
            f"the metadata store {sqlite_store} has been locked by another process for more than "
            "0.1 seconds. Wait for that process or end it, then try again."
        )


def test_a_call_that_another_program_keeps_waiting(sqlite_store):
    # SQLite's locks are the process's, so the other program is another process.
    holds = (
        "import sqlite3, sys\n"
        "other = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "other.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )

    def change(store):
        with subprocess.Popen(
            [sys.executable, "-c", holds, str(sqlite_store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            other.stdout.readline()
            put_type(store, "another type")

    assert "has been locked by another process" in failure(str(sqlite_store), change)


def as_ordinary_user(program: str, *arguments: str) -> str:
    """Run Python as somebody whom permissions hold back; what it prints, it was told."""
    code = (
        "import os, sys\n"
        "from penstock.errors import StoreError\n"
        "from penstock.metadata.store import connect, connection_config\n"
        "from penstock.metadata.runs import list_runs\n"
        "if os.geteuid() == 0:\n"
        "    os.setgid(65534)\n"
        "    os.setuid(65534)\n"
        "try:\n"
        f"    {program}\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def shared_folder():
    """A folder that every user finds."""
    folder = tempfile.mkdtemp(prefix="penstock-shared-")
    os.chmod(folder, 0o755)
    yield Path(folder)
    os.chmod(folder, 0o755)
    shutil.rmtree(folder)


WRITE = "connect(connection_config(sys.argv[1])).__enter__()"
READ = "with connect(connection_config(sys.argv[1]), create=False) as m: print(list_runs(m.store))"


def test_a_folder_that_may_only_be_read(shared_folder):
    os.chmod(shared_folder, 0o555)
    path = shared_folder / "metadata.sqlite"
    assert as_ordinary_user(WRITE, str(path)) == (
        f"the metadata store {path} cannot be used: its folder may only be read, and runs are "
        f"written into it. Allow this user to write {shared_folder}, or name another store in the "
        "profile."
    )


def test_a_file_that_may_only_be_read_is_refused_to_runs_and_read_by_others(shared_folder):
    path = shared_folder / "metadata.sqlite"
    with connect(connection_config(str(path))):
        pass
    os.chmod(path, 0o444)
    os.chmod(shared_folder, 0o555 if os.geteuid() else 0o755)
    assert "may only be read, and runs are written into it" in as_ordinary_user(WRITE, str(path))
    assert as_ordinary_user(READ, str(path)) == "[]"


def test_a_file_that_may_not_be_read(shared_folder):
    path = shared_folder / "metadata.sqlite"
    with connect(connection_config(str(path))):
        pass
    os.chmod(path, 0)
    assert "Allow this user to read it." in as_ordinary_user(READ, str(path))


def test_a_store_of_an_older_version_is_refused_and_then_upgraded_with_a_copy(sqlite_store):
    config = connection_config(str(sqlite_store))
    ml_metadata.downgrade_schema(config, 8)
    before = sqlite_store.read_bytes()
    assert re.fullmatch(
        f"the metadata store {sqlite_store} is of schema version 8, and the installed ml-metadata "
        r"1\.\d+\.\d+ needs version 10\. Programs with an older ml-metadata cannot use it any more "
        r"once it is upgraded\. To upgrade it: penstock store upgrade\.",
        refusal(str(sqlite_store)),
    )
    assert sqlite_store.read_bytes() == before
    assert upgrade(config) == (True, f"{sqlite_store}.backup")
    with connect(config, create=False) as metadata:
        assert "a type" in [t.name for t in metadata.store.get_artifact_types()]
    assert "schema version 8" in refusal(f"{sqlite_store}.backup")
    assert upgrade(config) == (False, None)


def test_a_store_of_the_first_version_is_refused(sqlite_store):
    ml_metadata.downgrade_schema(connection_config(str(sqlite_store)), 0)
    assert "is of schema version 0, and the installed" in refusal(str(sqlite_store))


def test_a_store_of_a_newer_version_is_refused_also_to_an_upgrade(sqlite_store):
    change(sqlite_store, "UPDATE MLMDEnv SET schema_version = 11")
    text = "of schema version 11, and the installed ml-metadata .* needs version 10. Install the"
    assert re.search(text, refusal(str(sqlite_store)))
    with pytest.raises(StoreError, match=text):
        upgrade(connection_config(str(sqlite_store)))


def test_an_upgrade_of_no_store(tmp_path):
    with pytest.raises(StoreError, match="there is no metadata store at"):
        upgrade(connection_config(str(tmp_path / "metadata.sqlite")))


def test_a_killed_creation_leaves_nothing_that_is_in_the_way(tmp_path):
    path = tmp_path / "metadata.sqlite"
    Path(f"{path}.new").write_bytes(b"the first pages of a")
    with connect(connection_config(str(path))) as metadata:
        assert put_type(metadata.store)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metadata.sqlite", "metadata.sqlite.lock"]


SCHEME = {"mysql": "mysql://penstock", "postgresql": "postgresql://penstock"}


def test_a_server_that_does_not_run(server):
    address = server.address("mlmd").replace(f":{server.port}/", ":1/")
    shown = refusal(address)
    assert shown.startswith(
        f"the metadata store {SCHEME[server.scheme]}@127.0.0.1:1/mlmd cannot be reached: "
    )
    assert "Connection refused" in shown
    assert shown.endswith("See that the server runs and that the address in the profile is right.")


@pytest.mark.parametrize("scheme", SCHEME)
def test_a_host_that_is_not_known(scheme):
    shown = refusal(f"{scheme}://penstock:pass@no-such-host.invalid/mlmd")
    assert "no-such-host.invalid" in shown
    assert "cannot be reached: " in shown
    assert "See that the server runs" in shown


def test_a_wrong_password_is_not_shown(server):
    shown = refusal(server.address("mlmd", password="not-the-password"))
    assert shown.startswith(f"the metadata store {SCHEME[server.scheme]}@127.0.0.1:{server.port}")
    assert shown.endswith("See that the user and the password in the profile's address are right.")
    assert "not-the-password" not in shown


def test_a_database_that_does_not_exist_is_no_store_to_a_reader(server):
    assert refusal(server.address("nothing"), create=False) == (
        f"there is no metadata store at {SCHEME[server.scheme]}@127.0.0.1:{server.port}/nothing. "
        "It is made by the first run: penstock run PIPELINE."
    )


def test_a_database_that_may_not_be_made(server):
    administer(server, NEWCOMER[server.scheme])
    shown = refusal(server.address("forbidden", user="newcomer", password="newcomer's"))
    assert "cannot be made: there is no such database" in shown
    assert "Let an administrator run: CREATE DATABASE" in shown
    assert "newcomer's" not in shown


def test_a_name_that_is_too_long_for_a_server(server):
    shown = failure(server.address("limits"), lambda store: put_type(store, "x" * 300))
    assert shown.startswith(f"the metadata store {SCHEME[server.scheme]}@127.0.0.1:{server.port}")
    assert "names (of a pipeline, `pipeline.node`, an artifact, a type or a" in shown
    assert "up to 255 characters" in shown


def test_a_number_that_is_too_large_for_a_server(server):
    def change(store):
        artifact = ml_metadata.proto.Artifact(type_id=put_type(store))
        artifact.custom_properties["rows"].int_value = 2**31
        store.put_artifacts([artifact])

    assert "keeps whole numbers from -2147483648 to 2147483647" in failure(
        server.address("limits"), change
    )


def test_a_database_with_characters_that_sql_quotes(server):
    with connect(connection_config(server.address("my-Store"))) as metadata:
        assert put_type(metadata.store)


def test_a_server_that_cuts_off_texts(mariadb):
    administer(mariadb, ["SET GLOBAL sql_mode = ''"])
    try:
        assert refusal(mariadb.address("mlmd")).endswith(
            "cannot be used: its server cuts off long texts without an error. Add "
            "STRICT_TRANS_TABLES to the server's sql_mode."
        )
    finally:
        administer(mariadb, ["SET GLOBAL sql_mode = 'STRICT_TRANS_TABLES'"])


def test_an_empty_database_that_ignores_case_is_changed_and_a_full_one_is_watched(mariadb):
    administer(mariadb, ["CREATE DATABASE ignores COLLATE utf8mb4_general_ci"])
    with connect(connection_config(mariadb.address("ignores"))) as metadata:
        assert put_type(metadata.store, "Name") != put_type(metadata.store, "name")
    administer(
        mariadb,
        [
            "DELETE FROM ignores.Type WHERE BINARY name = 'name'",
            "ALTER TABLE ignores.Type CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        ],
    )
    shown = failure(mariadb.address("ignores"), lambda store: store.get_artifact_type("name"))
    assert "takes 'name' for 'Name', which it has" in shown
    assert "convert its tables to the collation utf8mb4_bin" in shown


def test_a_store_whose_making_was_cut_off(mariadb):
    with connect(connection_config(mariadb.address("half"))):
        pass
    administer(mariadb, ["DROP TABLE half.Attribution"])
    assert (
        "is not complete: tables are missing, because making it was cut off or somebody removed "
        "them. If it holds no runs, remove its other tables, and the next run makes it anew"
    ) in refusal(mariadb.address("half"))


def test_a_store_whose_making_was_cut_off_before_it_held_anything_is_made_anew(mariadb):
    with connect(connection_config(mariadb.address("begun"))):
        pass
    administer(
        mariadb,
        [
            *(f"DELETE FROM begun.{table}" for table in ("MLMDEnv", "Type", "TypeProperty")),
            "DROP TABLE begun.Attribution",
            "CREATE TABLE begun.others (id INT)",
        ],
    )
    with connect(connection_config(mariadb.address("begun"))) as metadata:
        assert put_type(metadata.store, "name")
    administer(mariadb, ["DROP TABLE begun.others"])


def test_what_is_logged_has_no_password(server, caplog):
    with caplog.at_level("DEBUG", "absl"):
        with connect(connection_config(server.address("logged"))):
            pass
    assert "p@ss" not in caplog.text


def cut_connections(server: servers.Server, database: str) -> None:
    if server.scheme == "postgresql":
        statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        administer(server, [statement], (database,))
        return
    found = "SELECT concat('KILL ', id) FROM information_schema.processlist WHERE db = %s"
    [statements] = administer(server, [found], (database,))
    assert statements
    administer(server, [statement for (statement,) in statements])


def test_what_is_read_is_read_again_when_the_connection_was_cut(server):
    with connect(connection_config(server.address("cut"))) as metadata:
        type_id = put_type(metadata.store)
        cut_connections(server, "cut")
        assert metadata.store.get_artifact_type("a type").id == type_id


def test_a_change_is_made_also_when_the_connection_was_cut(server):
    with connect(connection_config(server.address("cut"))) as metadata:
        artifact = ml_metadata.proto.Artifact(type_id=put_type(metadata.store), uri="here")
        cut_connections(server, "cut")
        [made] = metadata.store.put_artifacts([artifact])
        assert [found.id for found in metadata.store.get_artifacts_by_uri("here")] == [made]


NEWCOMER = {
    "mysql": ["CREATE USER newcomer@'%' IDENTIFIED BY 'newcomer''s'"],
    "postgresql": ["CREATE ROLE newcomer LOGIN PASSWORD 'newcomer''s'"],
}


def administer(server: servers.Server, statements: list[str], values: tuple = ()) -> list:
    """Run SQL as the user to whom the server belongs, and return the rows of each statement."""
    database = database_of(connection_config(server.address("postgres")))
    connected = database._connected("postgres") if server.scheme == "postgresql" else None
    rows = []
    with connected or database._connected() as cursor:
        for statement in statements:
            cursor.execute(statement, *([values] if values else []))
            rows.append(list(cursor.fetchall()) if cursor.description else [])
    return rows


@pytest.mark.parametrize("command", [("runs",), ("run", "training")])
def test_commands_say_it_in_a_paragraph_and_exit_with_2(tmp_path, command):
    (tmp_path / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
        "from penstock_support.example_components import training\n"
    )
    (tmp_path / "penstock.toml").write_text(
        '[pipelines]\ntraining = "mine.py:training"\n'
        '[profiles.default]\nmetadata = "mysql://penstock:${env:SECRET}@127.0.0.1:1/mlmd"\n'
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", *command],
        cwd=tmp_path,
        env={**os.environ, "SECRET": "with/?#@:%"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"(waiting for the metadata store: .*\n)?"
        r"error: the metadata store mysql://penstock@127\.0\.0\.1:1/mlmd cannot be reached: "
        r"Can't connect to MySQL server on '127\.0\.0\.1' \(\[Errno 111\] Connection refused\) "
        r"\(waited 5 seconds\)\. "
        r"See that the server runs and that the address in the profile is right\.\n",
        done.stderr,
    )
    assert done.stdout == ""


def test_a_run_that_cannot_have_its_store_makes_nothing(tmp_path):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"), metadata="postgresql://me:pass@127.0.0.1:1/mlmd"
    )
    with pytest.raises(StoreError, match="cannot be reached: .*Connection refused"):
        runner.run(training)
    assert not (tmp_path / "root").exists()


def test_a_test_whose_server_is_missing_is_skipped_with_what_to_do(monkeypatch):
    monkeypatch.delenv(servers.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-server is not installed: run `make serv"):
        servers.program("no-server")


def test_a_test_whose_server_is_missing_fails_where_servers_are_required(monkeypatch):
    monkeypatch.setenv(servers.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="no-server is not installed"):
        servers.program("no-server")


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# A statement of the second size is as long as a message of the database can become.
@pytest.mark.parametrize("length", [100_000, 5_000_000])
def test_a_store_whose_disk_was_full_goes_on_when_there_is_room(tmp_path, length):
    path = tmp_path / "metadata.sqlite"
    with connect(connection_config(str(path))) as metadata:
        kind = metadata_store_pb2.ContextType(
            name="kind", properties={"text": metadata_store_pb2.STRING}
        )
        large = metadata_store_pb2.Context(
            type_id=metadata.store.put_context_type(kind), name="large"
        )
        large.properties["text"].string_value = "x" * length
        with no_room_beyond(path.stat().st_size + 4096):
            with pytest.raises(StoreError) as raised:
                metadata.store.put_contexts([large])
            assert metadata.store.get_contexts() == []
        assert str(raised.value) == (
            f"the metadata store {path} failed: disk I/O error. Look whether the disk "
            f"of {path} has room and no faults (dmesg), and whether its file system has locks."
        )
        metadata.store.put_contexts([large])
        assert [context.name for context in metadata.store.get_contexts()] == ["large"]
