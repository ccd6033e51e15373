from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.accounts.first import make_first_administrator
from appliance.accounts.passwords import is_password
from appliance.accounts.rules import password_problems
from appliance.contracts import ADMINISTRATOR, UserChange
from appliance.errors import ApplianceError
from tests.web.appliance import PASSWORD, PASSWORD_HASH, made_app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def first(tmp_path, monkeypatch):
    """Make the first administrator; return the lines and the users that there are then."""
    monkeypatch.delenv("APPLIANCE_ADMIN_PASSWORD", raising=False)

    def make(**settings: str):
        app = made_app(tmp_path, **settings)
        store = app.open_accounts()
        try:
            return make_first_administrator(store, app.settings, 1.0), store.users()
        finally:
            store.close()

    return make


def test_first_start_when_nobody_is_there_then_an_administrator_with_a_random_password(first):
    (line,), (user,) = first()
    found = re.fullmatch(
        r"administrator destneAdmin, password (\S+)  \(printed this once, change it\)", line
    )
    assert found
    assert not password_problems(found[1])
    assert is_password(found[1], user.password_hash)
    assert (user.username, user.roles) == ("destneAdmin", (ADMINISTRATOR,))
    assert user.must_change_password
    assert first() == ([], [user])


def test_first_start_when_the_password_is_given_then_taken_and_not_printed(
    first, monkeypatch, tmp_path
):
    (tmp_path / "password").write_text(f"{PASSWORD}\nmore\n")
    lines, (user,) = first(**{"accounts.admin_password_file": str(tmp_path / "password")})
    assert lines == ["administrator destneAdmin made, with the password that was given"]
    assert is_password(PASSWORD, user.password_hash)
    assert not user.must_change_password


def test_first_start_when_the_environment_gives_the_password_then_before_the_file(
    first, monkeypatch, tmp_path
):
    monkeypatch.setenv("APPLIANCE_ADMIN_PASSWORD", PASSWORD)
    _, (user,) = first(**{"accounts.admin_password_file": str(tmp_path / "none")})
    assert is_password(PASSWORD, user.password_hash)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "must be at least 10 characters long"),
        ("short\n", "must be at least 10 characters long"),
        (None, "cannot be read: no such file or directory"),
    ],
)
def test_first_start_when_the_given_password_is_unfit_then_one_sentence_and_nobody(
    first, tmp_path, content, sentence
):
    path = tmp_path / "password"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ApplianceError, match=sentence):
        first(**{"accounts.admin_password_file": str(path)})
    assert len(first()[1]) == 1


def test_first_start_when_somebody_is_administrator_then_nothing(first, tmp_path):
    app = made_app(tmp_path)
    store = app.open_accounts()
    values = {"username": "root", "password_hash": PASSWORD_HASH}
    store.create_user(UserChange(values, (ADMINISTRATOR,)), 1.0)
    store.close()
    assert [user.username for user in first()[1]] == ["root"]


def test_first_start_when_two_processes_begin_at_once_then_one_makes_it(conf):
    folder = conf("data_directory: ../var\nweb.listen: 127.0.0.1:0\naccounts.password_cost: 8\n")
    (folder / "api_server.yml").write_text("listen: {address: 127.0.0.1, port: 0}\n")
    command = [sys.executable, "-m", "appliance", "-confPath", f"{folder}/"]
    processes = [
        subprocess.Popen(
            [*command, "serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(3)
    ]
    try:
        for process in processes:
            assert process.stderr is not None
            assert any("the API answers at" in line for line in process.stderr)
        listed = subprocess.run(
            [*command, "user", "list"], capture_output=True, text=True, check=True, cwd=ROOT
        )
    finally:
        for process in processes:
            process.terminate()
        printed = [process.communicate(timeout=20)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert listed.stdout.count("destneAdmin") <= 1
    assert "".join(printed).count("password") == 1
    secret = (folder.parent / "var" / "secret").read_text()
    assert json.loads(f'"{secret}"')
    assert len(secret) == 64
