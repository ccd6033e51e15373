from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from appliance.app import build_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import ADMINISTRATOR, USER, Principal
from appliance.errors import StartupError
from appliance.plugin_manager import build_plugin_manager
from appliance.plugins import auth
from appliance.plugins.auth import make_token, principal_of_token, read_secret, secret_or_new
from appliance.settings import read_settings_file

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = time.time()
LIFETIME = 36_000
"""Longer than any run of the tests: what is refused is not refused for its age."""


def claims(**changes):
    whole = {
        "sub": "x",
        "role": USER,
        "aud": auth.AUDIENCE,
        "iat": int(NOW),
        "exp": int(NOW) + LIFETIME,
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def signed(key: bytes = SECRET, algorithm: str = "HS256", **changes) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm)


@pytest.mark.parametrize("role", [USER, ADMINISTRATOR])
def test_token_when_made_then_names_its_principal(role):
    token = make_token(SECRET, "me", role, LIFETIME, NOW)
    assert principal_of_token(token, SECRET) == Principal("me", frozenset({role}))
    assert principal_of_token(token, SECRET, from_cookie=True).from_cookie


@pytest.mark.parametrize(
    "token",
    [
        make_token(SECRET, "me", USER, 60, NOW - 3600),
        make_token(b"another secret of 32 octets here", "me", USER, LIFETIME, NOW),
        make_token(SECRET, "me", "Root", LIFETIME, NOW),
        signed(aud="another"),
        signed(aud=None),
        signed(exp=None),
        signed(sub=None),
        signed(role=None),
        signed(role=["User"]),
        signed(role={"User": 1}),
        jwt.encode(claims(), "", algorithm="none"),
        signed(b"0" * 64, "HS512"),
        make_token(SECRET, "me" * 4000, USER, LIFETIME, NOW),
        "",
        "x",
        "a.b.c",
        "é.é.é",
    ],
)
def test_token_when_not_ours_or_over_then_nobody(token):
    assert principal_of_token(token, SECRET) is None


def test_tokens_when_two_are_made_at_once_then_different():
    assert make_token(SECRET, "me", USER, LIFETIME, NOW) != make_token(
        SECRET, "me", USER, LIFETIME, NOW
    )


@pytest.mark.parametrize(
    ("environ", "carried"),
    [
        ({}, None),
        ({"HTTP_X_APIAUTH": "Bearer T"}, ("T", False)),
        ({"HTTP_X_APIAUTH": "bearer  T "}, ("T", False)),
        ({"HTTP_AUTHORIZATION": "Bearer T"}, ("T", False)),
        ({"HTTP_AUTHORIZATION": "Basic T"}, None),
        ({"HTTP_COOKIE": "a=b; access_token=T; c=d"}, ("T", True)),
        ({"HTTP_COOKIE": "xaccess_token=T"}, None),
        ({"HTTP_X_APIAUTH": "T"}, None),
        ({"HTTP_AUTHORIZATION": "Basic x", "HTTP_COOKIE": "access_token=T"}, ("T", True)),
        ({"HTTP_X_APIAUTH": "Bearer A", "HTTP_COOKIE": "access_token=B"}, ("A", False)),
    ],
)
def test_request_when_it_carries_a_token_then_found(environ, carried):
    assert auth.token_of_request(environ) == carried


def test_secret_when_first_used_then_made_for_the_owner_only_and_kept(tmp_path):
    path = tmp_path / "var" / "secret"
    before = os.umask(0)
    try:
        secret = secret_or_new(path)
    finally:
        os.umask(before)
    assert len(secret) == auth.SECRET_OCTETS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_or_new(path) == read_secret(path) == secret
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_secret_when_many_make_it_at_once_then_all_have_the_same(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret_or_new(tmp_path / "secret"), range(32)))
    assert len(found) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("content", ["", "short", "ab" * 16, "zz" * 32, "\xff"])
def test_secret_when_the_file_is_no_secret_then_never_used_and_never_replaced(tmp_path, content):
    path = tmp_path / "secret"
    path.write_text(content)
    assert read_secret(path) is None
    with pytest.raises(StartupError, match="cannot be read as a secret: make it readable, or dele"):
        secret_or_new(path)
    assert path.read_text() == content


def test_secret_when_it_cannot_be_written_then_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"file/secret cannot be written: "):
        secret_or_new(tmp_path / "file" / "secret")


@pytest.fixture
def folder(conf) -> str:
    return f"{conf('data_directory: ../var')}/"


def created(capsys, *arguments: str) -> tuple[int, str, str]:
    code = run_command_line(group, [*arguments])
    printed = capsys.readouterr()
    return code, printed.out.strip(), printed.err


def app_of(folder):
    from pathlib import Path

    return build_app(build_plugin_manager(entry_points=()), read_settings_file(Path(folder)))


def asked(app, environ):
    return app.plugins.hook.principal_from_request(environ=environ, settings=app.settings)


def test_token_create_when_called_then_the_token_opens(folder, capsys, tmp_path):
    code, token, _ = created(capsys, "-confPath", folder, "token", "create")
    assert code == 0
    app = app_of(folder)
    expected = Principal("appliance token", frozenset({USER}))
    assert asked(app, {"HTTP_X_APIAUTH": f"Bearer {token}"}) == expected
    assert asked(app, {"HTTP_COOKIE": f"access_token={token}"}).from_cookie
    life = jwt.decode(token, options={"verify_signature": False})
    assert life["exp"] - life["iat"] == 1200
    (tmp_path / "var" / "secret").unlink()
    assert asked(app, {"HTTP_X_APIAUTH": f"Bearer {token}"}) is None
    assert asked(app, {}) is None


def test_token_create_when_role_and_lifetime_are_given_then_so(folder, capsys):
    options = ("--role", "Administrator", "--lifetime", "30d")
    code, token, _ = created(capsys, "token", "create", *options, "-confPath", folder)
    assert code == 0
    life = jwt.decode(token, options={"verify_signature": False})
    assert (life["role"], life["exp"] - life["iat"]) == (ADMINISTRATOR, 30 * 86400)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--lifetime", "soon"), "expected a duration such as 20m, found soon"),
        (("--lifetime", "0s"), "expected one second to ten years, found 0s"),
        (("--lifetime", "99999d"), "expected one second to ten years, found 99999d"),
        (("--role", "root"), "'root' is not one of"),
    ],
)
def test_token_create_when_an_option_is_wrong_then_one_sentence(folder, capsys, options, sentence):
    code, _, error = created(capsys, "-confPath", folder, "token", "create", *options)
    assert code == 2
    assert sentence in error
    assert error.count("\n") == 1
