from __future__ import annotations

import pytest

from penstock import RunLimit
from penstock.config import Profile, find_config, read_config
from penstock.errors import ConfigError, DataError
from penstock.metadata.store import connection_config


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "penstock.toml"
        path.write_text(text)
        return path

    return write


FULL = """
default_profile = "nightly"

[pipelines]
taxi = "taxi.py:taxi"

[profiles.nightly]
pipeline_root = "artifacts"
metadata = "mysql://me:${env:STORE_PASSWORD}@db.example/mlmd"
beam_args = ["--runner=DirectRunner"]
parallelism = 3
metadata_patience = 20

[profiles.nightly.parameters.taxi]
steps = 5

[profiles.nightly.limits.taxi]
runs_at_once = 2
"""


def test_a_profile_has_what_the_file_says(write, tmp_path):
    profile = read_config(write(FULL)).profile()
    assert profile == Profile(
        name="nightly",
        pipeline_root=str(tmp_path / "artifacts"),
        metadata="mysql://me:${env:STORE_PASSWORD}@db.example/mlmd",
        beam_args=("--runner=DirectRunner",),
        parallelism=3,
        metadata_patience=20.0,
        parameters={"taxi": {"steps": 5}},
        limits={"taxi": RunLimit(2, "wait")},
    )


@pytest.mark.parametrize(("line", "accelerate"), [("", True), ("accelerate = false", False)])
def test_a_profile_can_leave_tfx_s_nodes_to_tfx(write, line, accelerate):
    profile = read_config(write(f"[profiles.plain]\n{line}\n")).profile("plain")
    assert profile.accelerate is accelerate


def test_a_secret_is_read_from_the_environment_when_it_is_used(write, monkeypatch):
    profile = read_config(write(FULL)).profile()
    monkeypatch.setenv("STORE_PASSWORD", "s3cret")
    assert profile.metadata_address() == "mysql://me:s3cret@db.example/mlmd"


def test_a_password_with_the_signs_of_an_address_is_encoded_in_it(write, monkeypatch):
    profile = read_config(write(FULL)).profile()
    monkeypatch.setenv("STORE_PASSWORD", "p@ss/%41")
    address = profile.metadata_address()
    assert connection_config(address).mysql.password == "p@ss/%41"


def test_an_environment_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(ConfigError, match="the environment variable NOT_THERE is not set"):
        Profile(metadata="mysql://me:${env:NOT_THERE}@db/mlmd").metadata_address()


def test_a_password_in_the_file_is_refused_and_not_repeated(write):
    path = write('[profiles.a]\nmetadata = "mysql://me:hunter2@db/mlmd"')
    with pytest.raises(ConfigError, match=r"profiles.a.metadata.*write \$\{env:NAME\}") as caught:
        read_config(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default_profile = 4", "expected the name of a profile, got 4"),
        ("[pipeline]", "the key 'pipeline' is not known.*Did you mean 'pipelines'"),
        ("[profiles.a]\npipeline_rot = 'x'", "profiles.a.*Did you mean 'pipeline_root'"),
        ("[profiles.a]\nparallelism = 'two'", "expected int, got 'two' .*profiles.a.parallelism"),
        ("[profiles.a]\nparallelism = 0", "expected 1 or more, got 0"),
        ("[profiles.a]\nparallelism = true", "expected int, got True"),
        (
            "[profiles.a]\nmetadata_patience = 'long'",
            "expected a number of seconds, got 'long' .*profiles.a.metadata_patience",
        ),
        ("[profiles.a]\nmetadata_patience = -1", "expected a number of seconds, got -1"),
        ("[profiles.a]\nmetadata_patience = true", "expected a number of seconds, got True"),
        (
            "[profiles.a.limits.t]\nruns_at_once = 0",
            "expected runs_at_once of 1 or more, got 0 .*profiles.a.limits.t",
        ),
        (
            "[profiles.a.limits.t]\nruns_at_once = 1\nwhen_reached = 'wiat'",
            "expected when_reached = 'wait' or 'refuse', got 'wiat' .*'wait'",
        ),
        ("[profiles.a.limits.t]\nwhen_reached = 'wait'", "runs_at_once"),
        ("[profiles.a]\naccelerate = 'no'", "expected bool, got 'no' .*profiles.a.accelerate"),
        ("[profiles.a]\nbeam_args = '--x'", "expected list, got '--x'"),
        ("[pipelines]\na = 'taxi'", "module:function or file.py, got 'taxi'"),
        ("default_profile = 'b'", "there is no profile 'b'"),
        ("a = ", "cannot be read as TOML"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(write, text, message):
    path = write(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


def test_the_nearest_file_above_counts(write, tmp_path):
    path = write(FULL)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_config(below) == path


def test_without_a_file_there_are_the_examples():
    assert set(read_config(None).pipelines) == {"flights", "penguins"}


def test_artifacts_have_absolute_addresses_without_a_file_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profile = read_config(None).profile()
    assert profile.root_of("taxi") == str(tmp_path / ".penstock" / "taxi")
    assert profile.metadata_address() == str(tmp_path / ".penstock" / "metadata.sqlite")


def test_a_pipeline_is_imported_from_its_file(write, tmp_path):
    (tmp_path / "taxi.py").write_text(
        "from penstock import pipeline\n@pipeline\ndef taxi(steps: int = 1):\n    return []\n"
    )
    assert read_config(write(FULL)).load_pipeline("taxi").name == "taxi"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("taxy", "there is no pipeline 'taxy'.*Did you mean 'taxi'"),
        ("taxi", "there is no file .*taxi.py"),
        ("os.path:joyn", "os.path has no 'joyn'. Did you mean 'join'"),
        ("not_a_module:x", "not_a_module does not import"),
    ],
)
def test_a_pipeline_that_cannot_be_found_is_told_with_what_there_is(write, name, message):
    with pytest.raises(ConfigError, match=message):
        read_config(write(FULL)).load_pipeline(name)


def test_a_profile_says_where_events_go_and_by_which_token(tmp_path, monkeypatch):
    path = tmp_path / "penstock.toml"
    path.write_text(
        "[profiles.team]\n"
        'openlineage = "https://me:${env:LINEAGE_PASSWORD}@lineage.example"\n'
        'openlineage_token = "${env:LINEAGE_TOKEN}"\n'
    )
    profile = read_config(path).profile("team")
    monkeypatch.setenv("LINEAGE_PASSWORD", "p@ss")
    monkeypatch.setenv("LINEAGE_TOKEN", "canary")
    assert "canary" not in repr(profile)
    assert profile.events_address() == ("https://me:p%40ss@lineage.example", "canary")


def test_a_file_of_events_counts_from_the_files_folder(tmp_path):
    path = tmp_path / "penstock.toml"
    path.write_text('[profiles.team]\nopenlineage = "file:events.jsonl"\n')
    address, _ = read_config(path).profile("team").events_address()
    assert address == f"file:{tmp_path / 'events.jsonl'}"


def test_without_a_destination_there_are_no_events():
    assert Profile().events_address() == ("", "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('openlineage_token = "s3cret"', "a token is written down"),
        ('openlineage = "https://me:s3cret@host"', "a password is written down in the address"),
    ],
)
def test_a_secret_for_events_is_never_written_down(tmp_path, line, message):
    path = tmp_path / "penstock.toml"
    path.write_text(f"[profiles.team]\n{line}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert "${env:NAME}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../x", "/etc", "..", ""])
def test_a_pipeline_s_name_does_not_lead_out_of_the_root(name):
    with pytest.raises(DataError, match="a pipeline's name becomes part of a path"):
        Profile(pipeline_root="/data").root_of(name)


def test_files_of_one_name_in_two_projects_are_two_pipelines(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same_name_twice.py").write_text(f"found = {name!r}\n")
    found = [
        read_config(None).load_pipeline(f"{tmp_path / name / 'same_name_twice.py'}:found")
        for name in ("one", "two", "one")
    ]
    assert found == ["one", "two", "one"]
