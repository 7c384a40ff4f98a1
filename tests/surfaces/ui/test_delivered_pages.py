"""Pages of models and of deployments, over a store that has both."""

from __future__ import annotations

import pytest

from penstock import registry
from penstock.metadata.store import connect, connection_config
from penstock.operations.delivery.deploying import deploy
from penstock.operations.delivery.deployment import RefusedError
from penstock_support import delivered_project as project
from penstock_support.delivered_project import GOOD, deploying, wanted
from penstock_support.store_pages import pages_of, text


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a store with a deployment, a refusal, and a version that was altered."""
    folder = tmp_path_factory.mktemp("project")
    config = project.write(folder)
    deploy(deploying(config), wanted("f1"))
    project.set_quality(folder, {**GOOD, "LGA": 0.5})
    with pytest.raises(RefusedError):
        deploy(deploying(config), wanted("f2"))
    return config.profile().metadata_address()


@pytest.fixture(scope="module")
def pages(address):
    with connect(connection_config(address)) as metadata:
        yield pages_of(metadata.store, address)


def test_models_are_listed_with_what_their_aliases_stand_for(pages):
    assert 'champion <a href="/models/flights/1">1</a>' in text(pages, "/models")


def test_a_model_has_the_history_of_its_aliases_with_the_deployments(pages):
    page = text(pages, "/models/flights")
    assert "<td>promote</td><td>ann</td>" in page
    assert 'because <a href="/deployments/production/flights/1">deployment 1</a>' in page


def test_a_version_has_its_run_and_what_it_takes(pages):
    page = text(pages, "/models/flights/champion")
    assert "Made by Train in run" in page
    assert '<th scope="row">distance</th><td>input</td><td>float64</td>' in page


def test_a_version_whose_files_are_altered_says_so(pages, address):
    with connect(connection_config(address)) as metadata:
        version = registry.read_model(metadata.store, "flights").version(1)
    file = f"{version.uri}/Format-Serving/model.json"
    with open(file) as opened:
        before = opened.read()
    try:
        with open(file, "w") as opened:
            opened.write("{}")
        assert "It may not be served:" in text(pages, "/models/flights/1")
    finally:
        with open(file, "w") as opened:
            opened.write(before)


def test_deployments_and_refusals_are_listed(pages):
    page = text(pages, "/deployments")
    assert page.index("deploy 2</a></th> <td>refused</td>") < page.index("deploy 1</a></th>")


def test_a_refusal_shows_its_gates(pages):
    page = text(pages, "/deployments/production/flights/2")
    assert "<strong>Refused:</strong>" in page
    assert "auc beside flights@1, by slice</th><td>no</td><td>airport:LGA 0.88 -&gt; 0.5" in page


def test_a_run_says_what_its_model_was_registered_as(pages, address):
    with connect(connection_config(address)) as metadata:
        run = registry.read_model(metadata.store, "flights").version(1).run_id
    link = '<a href="/models/flights/1">flights@1</a>, which is champion'
    assert f"Registered as {link}" in text(pages, f"/runs/{run}")
    assert "Registered as <strong>flights@1</strong>" in text(pages, f"/runs/{run}/report")


def test_a_run_leads_to_the_deployments_that_it_was_made_for(pages, address):
    with connect(connection_config(address)) as metadata:
        run = registry.read_model(metadata.store, "flights").version(1).run_id
    link = '<a href="/deployments/production/flights/1">Deploy 1 to production</a>: done.'
    assert link in text(pages, f"/runs/{run}")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/models/nothing", "there is no registered model"),
        ("/models/flights/7", "has no version 7"),
        ("/deployments/production/flights/9", "has no deployment 9"),
    ],
)
def test_what_is_not_there_is_said(pages, path, message):
    answer = pages.get(path)
    assert (answer.status_code, message in answer.text) == (404, True)
