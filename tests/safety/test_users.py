"""How users and machines are named."""

from __future__ import annotations

import getpass
import os

import pytest

from penstock.safety import users

pytestmark = pytest.mark.core


def test_a_user_without_a_name_is_known_by_number(monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 31001")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert users.user_name() == str(os.getuid())
    assert users.user_and_machine().startswith(f"{os.getuid()}@")
