from __future__ import annotations

import io

import pytest

from appliance.accounts.commands import accounts_of
from appliance.app import open_app
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from appliance.contracts import ADMINISTRATOR, USER
from tests.web.appliance import PASSWORD


@pytest.fixture
def run(conf, capsys, monkeypatch):
    """Run `appliance`; return exit code, output and the sentence on standard error."""
    folder = conf("data_directory: ../var\naccounts.password_cost: 8\n")

    def call(*words: str, given: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        code = run_command_line(group, ["-confPath", f"{folder}/", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    call.folder = folder
    return call


def accounts(run):
    return accounts_of(open_app(run.folder).open_accounts)


def add(run, username: str, *words: str) -> None:
    code, _, error = run("user", "add", username, "--password-stdin", *words, given=PASSWORD)
    assert (code, error) == (0, "")


def test_user_when_added_then_listed_changed_and_deleted(run):
    add(run, "ann", "--role", ADMINISTRATOR, "--email", "a@b.de")
    add(run, "bob")
    assert run("user", "list")[1] == "1  ann  Administrator  a@b.de\n2  bob  no role\n"
    assert run("user", "role", "bob", "--add", USER, "--add", ADMINISTRATOR)[1] == (
        "User, Administrator\n"
    )
    assert run("user", "role", "bob", "--delete", ADMINISTRATOR)[1] == "User\n"
    with accounts(run) as store:
        before = store.user_named("bob")
    assert run("user", "passwd", "bob", "--password-stdin", given="An0therOne!")[0] == 0
    with accounts(run) as store:
        assert store.user_named("bob").stamp != before.stamp
    assert run("user", "delete", "bob", "--yes")[1] == "bob is deleted\n"
    with accounts(run) as store:
        trail = [(entry.action, entry.detail, entry.status) for entry in store.audit(10)]
    assert trail == [
        ("appliance user delete", "bob", 200),
        ("appliance user passwd", "bob", 200),
        ("appliance user role", "bob, -Administrator", 200),
        ("appliance user role", "bob, +User, +Administrator", 200),
        ("appliance user add", "bob, roles none", 200),
        ("appliance user add", "ann, roles Administrator", 200),
    ]


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (("user", "add", "a_b"), "", "Invalid Characters in Username"),
        (("user", "add", "x", "--password-stdin"), "short", "at least 10 characters"),
        (("user", "add", "ann", "--password-stdin"), PASSWORD, "Username already exists"),
        (("user", "add", "x", "--role", "Root", "--password-stdin"), PASSWORD, "No role found"),
        (("user", "add", "x"), "", "no terminal to ask for the password, expected --pass"),
        (("user", "passwd", "nobody"), "", "no user is named nobody"),
        (("user", "role", "ann", "--delete", ADMINISTRATOR), "", "User - ann is the last Admin"),
        (("user", "delete", "ann", "--yes"), "", "User - ann is the last Administrator"),
        (("token", "revoke", "nope"), "", "no token is named nope"),
        (("token", "revoke", "7"), "", "No token found with that ID"),
    ],
)  # fmt: skip
def test_command_when_it_cannot_be_done_then_one_sentence_and_exit_1(run, words, given, sentence):
    add(run, "ann", "--role", ADMINISTRATOR)
    code, _, error = run(*words, given=given)
    assert code == 1
    assert sentence in error
    assert error.count("\n") == 1


def test_user_when_deletion_is_not_confirmed_then_stays(run):
    add(run, "ann", "--role", ADMINISTRATOR)
    add(run, "bob")
    assert run("user", "delete", "bob", given="n\n")[0] == 130
    assert "bob" in run("user", "list")[1]


def test_password_when_asked_for_then_hidden_and_twice(run, monkeypatch):
    asked = []

    def prompt(text, **options):
        asked.append((options["hide_input"], options["confirmation_prompt"]))
        return PASSWORD

    terminal = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})
    monkeypatch.setattr("click.prompt", prompt)
    monkeypatch.setattr("io.StringIO", terminal)
    assert run("user", "add", "ann")[0] == 0
    assert asked == [(True, True)]


def test_command_when_the_database_is_away_then_one_sentence(conf, capsys):
    folder = conf("database: 'mysql://u:pass-word@127.0.0.1:9/x'\ndata_directory: ../var\n")
    assert run_command_line(group, ["-confPath", f"{folder}/", "user", "list"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pass-word" not in error


def test_disable_totp_when_the_device_is_lost_then_off_and_recorded(run):
    add(run, "ann", "--role", ADMINISTRATOR)
    with accounts(run) as store:
        store.enrol_totp(1, "JBSWY3DPEHPK3PXP")
        assert store.confirm_totp(1, "JBSWY3DPEHPK3PXP", 7, ["digest"])
    assert run("user", "disable-totp", "ann")[1] == "ann signs in with the password alone\n"
    with accounts(run) as store:
        assert store.totp(1) is None
        assert store.audit(1)[0].action == "appliance user disable-totp"
    code, _, error = run("user", "disable-totp", "ann")
    assert (code, "ann has no second factor" in error) == (1, True)


def test_filter_when_set_by_command_then_printed_listed_and_recorded(run):
    add(run, "ann", "--role", USER, "--filter", " ip 192.0.2.0/24 ")
    add(run, "root", "--role", ADMINISTRATOR)
    assert run("user", "filter", "ann") == (0, "ip 192.0.2.0/24\n", "")
    assert "1  ann  User  bound to: ip 192.0.2.0/24\n" in run("user", "list")[1]
    wanted = "exporter 192.0.2.1 and if in [3, 7]"
    assert run("user", "filter", "ann", wanted)[1] == f"{wanted}\n"
    assert run("user", "filter", "ann", "--remove")[1] == "bound to no filter\n"
    assert run("user", "filter", "root")[1] == "bound to no filter\n"
    with accounts(run) as store:
        trail = [
            (e.detail, e.status) for e in store.audit(9) if e.action == "appliance user filter"
        ]
    assert trail == [("ann, bound to no filter", 200), (f"ann, bound to {wanted}", 200)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ann", "ipp 192.0.2.0/24"), "did you mean ip?"),
        (("ann", "any"), "expected a filter that leaves flows out"),
        (("ann", "ip in @nothere"), "none is in the settings"),
        (("ann", "port 1", "--remove"), "either a filter or --remove"),
        (("nobody", "port 1"), "no user is named nobody"),
        (("root", "port 1"), "which no Administrator may be"),
    ],
)
def test_filter_when_it_cannot_be_set_by_command_then_one_sentence(run, words, said):
    add(run, "ann", "--role", USER)
    add(run, "root", "--role", ADMINISTRATOR)
    code, out, error = run("user", "filter", *words)
    assert (code != 0, out, said in error) == (True, "", True), error
    assert len(error.splitlines()) == 1
    with accounts(run) as store:
        assert [user.filter for user in store.users()] == [None, None]
