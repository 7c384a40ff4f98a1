"""The pages build without a warning, so their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from penstock_support import pages


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = ["-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", str(folder)]
    done = subprocess.run(
        [sys.executable, *build], cwd=pages.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built(site):
    built = {path.stem for path in (site / "docs").glob("*.html")}
    assert {page.stem for page in pages.PAGES} <= built


def test_the_reference_has_every_public_name(site):
    import penstock
    from penstock import components, models

    text = (site / "docs" / "reference.html").read_text()
    aliases = {"Input", "Output", "Resolved", "PenstockError"}  # annotations, and under its module
    named = set(re.findall(r'id="penstock\.(?:components\.|models\.)?(\w+)"', text))
    public = {*penstock.__all__, *components.__all__, *models.__all__}
    assert public - aliases <= named


def test_every_command_has_its_help(site):
    from penstock.surfaces.cli.main import COMMANDS

    text = (site / "docs" / "commands.html").read_text()
    assert set(COMMANDS) <= set(re.findall(r"Usage: penstock ([\w-]+)", text))
