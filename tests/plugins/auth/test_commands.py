from __future__ import annotations

import jwt
import pytest

from appliance.accounts.commands import accounts_of
from appliance.accounts.secret import secret_or_new
from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import ADMINISTRATOR, USER, Principal, UserChange


@pytest.fixture
def run(conf, capsys):
    folder = conf("data_directory: ../var\n")
    secret_or_new(folder.parent / "var" / "secret")

    def call(*words: str) -> tuple[int, str, str]:
        code = run_command_line(group, [*words, "-confPath", f"{folder}/"])
        printed = capsys.readouterr()
        return code, printed.out.strip(), printed.err

    call.folder = folder
    return call


def asked(run, environ) -> Principal | None:
    app = open_app(run.folder)
    with accounts_of(app.open_accounts) as store:
        return app.plugins.hook.principal_from_request(
            environ=environ, settings=app.settings, accounts=lambda: store
        )


def principal(run, token: str) -> Principal | None:
    return asked(run, {"HTTP_X_APIAUTH": f"Bearer {token}"})


def test_token_create_when_called_then_signed_and_opens_until_the_secret_is_rotated(run):
    code, token, _ = run("token", "create")
    assert code == 0
    assert principal(run, token) == Principal("appliance token", frozenset({USER}))
    assert asked(run, {"HTTP_COOKIE": f"access_token={token}"}).from_cookie
    assert asked(run, {}) is None
    life = jwt.decode(token, options={"verify_signature": False})
    assert life["exp"] - life["iat"] == 1200
    assert run("token", "list")[1] == ""
    assert run("secret", "rotate") == (0, "everyone signs in again", "")
    assert principal(run, token) is None


@pytest.mark.parametrize(
    "words", [("token", "create"), ("token", "create", "--name", "x"), ("secret", "rotate")]
)
def test_token_create_when_no_appliance_was_started_there_then_refused(run, words):
    data = run.folder.parent / "var"
    (data / "secret").unlink()
    code, printed, error = run(*words)
    assert (code, printed) == (1, "")
    assert error.startswith(f"appliance: no appliance was ever started on {data}: start it, or ")
    assert list(data.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        (("--lifetime", "30d"), "ends 20"),
        (("--lifetime", "never"), "never ends"),
        (("--name", "grafana"), "ends 20"),
    ],
)
def test_token_create_when_long_lived_or_named_then_kept_until_revoked(run, options, ends):
    code, token, told = run("token", "create", "--role", ADMINISTRATOR, *options)
    hint = f": appliance -confPath {run.folder}/ token revoke 1\n"
    assert (code, told.startswith("kept as 1, "), told.endswith(hint)) == (0, True, True)
    found = principal(run, token)
    assert found is not None
    assert found.roles == {ADMINISTRATOR}
    number, name, role, rest = run("token", "list")[1].split("  ")
    assert (number, role, rest.startswith(ends)) == ("1", ADMINISTRATOR, True)
    assert token not in run("token", "list")[1]
    run("secret", "rotate")
    assert principal(run, token) is not None
    assert run("token", "revoke", name)[1] == f"{name} is revoked"
    assert principal(run, token) is None


def test_token_create_when_role_and_lifetime_are_given_then_so(run):
    code, token, _ = run("token", "create", "--role", ADMINISTRATOR, "--lifetime", "8h")
    assert code == 0
    life = jwt.decode(token, options={"verify_signature": False})
    assert (life["role"], life["exp"] - life["iat"]) == (ADMINISTRATOR, 8 * 3600)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--lifetime", "soon"), 2, "expected a duration such as 20m, found soon"),
        (("--lifetime", "0s"), 2, "expected one second to ten years, found 0s"),
        (("--lifetime", "99999d"), 2, "expected one second to ten years, found 99999d"),
        (("--role", "root"), 2, "'root' is not one of"),
        (("--name", ""), 1, "expected 1 to 100 printable characters"),
        (("--name", "taken"), 1, "A token with that name already exists"),
    ],
)
def test_token_create_when_an_option_is_wrong_then_one_sentence(run, options, code, sentence):
    run("token", "create", "--name", "taken")
    found, printed, error = run("token", "create", *options)
    assert (found, printed) == (code, "")
    assert sentence in error
    assert error.count("\n") == 1


def test_token_create_when_of_a_user_then_bound_and_ended_with_the_user(run):
    with accounts_of(open_app(run.folder).open_accounts) as store:
        values = {"username": "ann", "password_hash": "x"}
        number = store.create_user(UserChange(values, (USER,), filter="port 1"), 1.0)
    code, token, _ = run("token", "create", "--user", "ann")
    assert code == 0
    bound = principal(run, token)
    assert bound is not None
    assert (bound.roles, bound.filter) == (frozenset({USER}), "port 1")
    code, _, error = run("token", "create", "--user", "ann", "--role", ADMINISTRATOR)
    assert (code, "ann does not have role Administrator" in error) == (1, True)
    code, _, error = run("token", "create", "--user", "bob")
    assert (code, "no user is named bob" in error) == (1, True)
    with accounts_of(open_app(run.folder).open_accounts) as store:
        store.delete_user(number)
    assert principal(run, token) is None
