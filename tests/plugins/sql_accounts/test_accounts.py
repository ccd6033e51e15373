"""Accounts on either database: one class of tests for both."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.contracts import (
    ADMINISTRATOR,
    ADMINISTRATORS,
    STRANGERS,
    USER,
    AccountError,
    ApiToken,
    AuditEntry,
    Session,
    Totp,
    UserChange,
    Why,
)
from appliance.errors import StorageError
from appliance.plugins.sql_accounts import account_records
from appliance.plugins.sql_accounts.accounts import SqlAccounts
from appliance.sql.appliance_database import appliance_database

HOUR = 3600.0


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:appliance.sqlite"
    return str(request.getfixturevalue("mariadb").new_database())


@pytest.fixture
def accounts(url: str, tmp_path: Path) -> Iterator[SqlAccounts]:
    made = SqlAccounts(appliance_database(url, tmp_path))
    yield made
    made.close()


def change(username: str = "", *roles: str, **values: str | None) -> UserChange:
    named = {"username": username} if username else {}
    return UserChange({**named, **values}, roles)


def add(accounts: SqlAccounts, username: str, *roles: str) -> int:
    return accounts.create_user(change(username, *roles, password_hash=f"hash of {username}"), 1.0)


def refused(function: Any, *arguments: Any) -> list[Why]:
    with pytest.raises(AccountError) as caught:
        function(*arguments)
    return [problem.why for problem in caught.value.problems]


def test_users_when_made_then_found_by_each_way(accounts: SqlAccounts):
    assert (accounts.users(), accounts.user(1), accounts.user_named("x")) == ([], None, None)
    values = {"password_hash": "h", "firstname": "Zoë", "email": None}
    number = accounts.create_user(change("first", USER, ADMINISTRATOR, **values), 5.0)
    other = add(accounts, "second")
    assert number < other
    user = accounts.user(number)
    assert user is not None
    assert (user.username, user.password_hash, user.firstname, user.lastname, user.email) == (
        ("first", "h", "Zoë", None, None)
    )
    assert user.roles == (USER, ADMINISTRATOR)
    assert accounts.user_named("first") == user
    assert accounts.user_named("First") is None
    assert [(u.id, u.roles) for u in accounts.users()] == [(number, user.roles), (other, ())]
    assert accounts.roles() == [ADMINISTRATOR, USER]


def test_user_when_the_name_or_a_role_is_wrong_then_refused_and_nothing_made(accounts: SqlAccounts):
    add(accounts, "first")
    assert refused(add, accounts, "first") == [Why.NAME_TAKEN]
    assert refused(add, accounts, "second", "Root") == [Why.NO_ROLE]
    assert refused(add, accounts, "first", "Root") == [Why.NAME_TAKEN, Why.NO_ROLE]
    assert [user.username for user in accounts.users()] == ["first"]


def test_user_when_changed_then_only_the_password_moves_the_stamp(accounts: SqlAccounts):
    number = add(accounts, "first", ADMINISTRATOR)
    before = accounts.user(number)
    accounts.change_user(number, change("renamed", email="a@b.c"), 2.0)
    after = accounts.user(number)
    assert before is not None
    assert after is not None
    assert (after.username, after.email, after.stamp) == ("renamed", "a@b.c", before.stamp)
    accounts.replace_hash(number, after.password_hash, "another hash")
    accounts.replace_hash(number, "not the hash", "never")
    kept = accounts.user(number)
    assert kept is not None
    assert (kept.password_hash, kept.stamp) == ("another hash", before.stamp)
    accounts.change_user(number, change(password_hash="new"), 3.0)
    assert accounts.user(number).stamp != before.stamp  # type: ignore[union-attr]


def test_user_when_part_of_a_change_is_refused_then_all_reasons_and_nothing_changes(
    accounts: SqlAccounts,
):
    add(accounts, "root", ADMINISTRATOR)
    number = add(accounts, "first", USER)
    wanted = UserChange({"username": "root", "email": "a@b.c"}, (USER, "Root"), (ADMINISTRATOR,))
    assert refused(accounts.change_user, number, wanted, 2.0) == [
        *(Why.NAME_TAKEN, Why.NO_ROLE, Why.HAS_ROLE, Why.HAS_NOT_ROLE),
    ]
    user = accounts.user(number)
    assert user is not None
    assert (user.username, user.email, user.roles) == ("first", None, (USER,))
    assert refused(accounts.change_user, 99, change("x"), 2.0) == [Why.NO_USER]


def test_last_administrator_when_demoted_or_deleted_then_refused(accounts: SqlAccounts):
    number, other = add(accounts, "root", ADMINISTRATOR), add(accounts, "second", ADMINISTRATOR)
    accounts.change_user(other, UserChange({}, (), (ADMINISTRATOR,)), 2.0)
    demotion = UserChange({}, (), (ADMINISTRATOR,))
    assert refused(accounts.change_user, number, demotion, 2.0) == [Why.LAST_ADMINISTRATOR]
    assert refused(accounts.delete_user, number) == [Why.LAST_ADMINISTRATOR]
    assert accounts.delete_user(other).username == "second"
    assert refused(accounts.delete_user, other) == [Why.NO_USER]


def test_user_when_deleted_then_the_number_never_comes_back(accounts: SqlAccounts):
    add(accounts, "root", ADMINISTRATOR)
    number = add(accounts, "first", USER)
    accounts.delete_user(number)
    again = add(accounts, "first")
    assert again > number
    assert accounts.user(again).roles == ()  # type: ignore[union-attr]


def at_once(url: str, folder: Path, functions: list[Any]) -> list[Any]:
    """Call each function with accounts of its own, all at the same moment; errors are results."""
    barrier = threading.Barrier(len(functions))

    def call(function: Any) -> Any:
        accounts = SqlAccounts(appliance_database(url, folder))
        try:
            accounts.users()
            barrier.wait(10)
            return function(accounts)
        except AccountError as error:
            return error.problems[0].why
        finally:
            accounts.close()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


@pytest.mark.parametrize("attempt", range(4))
def test_administrators_when_two_demote_each_other_at_once_then_one_stays(
    accounts, url, tmp_path, attempt
):
    one, two = add(accounts, "one", ADMINISTRATOR), add(accounts, "two", ADMINISTRATOR)
    found = at_once(
        url,
        tmp_path,
        [
            lambda a: a.change_user(one, UserChange({}, (), (ADMINISTRATOR,)), 2.0),
            lambda a: a.delete_user(two).id,
        ],
    )
    assert found.count(Why.LAST_ADMINISTRATOR) == 1
    assert sum(ADMINISTRATOR in user.roles for user in accounts.users()) == 1


def test_name_when_several_take_it_at_once_then_one_has_it(accounts, url, tmp_path):
    accounts.users()
    found = at_once(url, tmp_path, [lambda a: add(a, "wanted", USER)] * 6)
    assert found.count(Why.NAME_TAKEN) == 5
    assert [(u.username, u.roles) for u in accounts.users()] == [("wanted", (USER,))]


def test_first_administrator_when_several_make_one_at_once_then_one(accounts, url, tmp_path):
    def first(store: SqlAccounts) -> Any:
        return store.create_first(change("root", ADMINISTRATOR, password_hash="h"), 1.0)

    found = at_once(url, tmp_path, [first] * 6)
    assert found.count(None) == 5
    assert len(accounts.users()) == 1


def token(name: str, owner: int | None = None, role: str = USER) -> ApiToken:
    return ApiToken(0, name, role, 10.0, 20.5, owner)


def test_api_token_when_kept_then_found_by_digest_until_deleted(accounts: SqlAccounts):
    number = accounts.create_token(token("one"), "d" * 64)
    assert accounts.token_of("d" * 64) == ApiToken(number, "one", USER, 10.0, 20.5, None)
    assert accounts.token_of("e" * 64) is None
    assert refused(accounts.create_token, token("one"), "e" * 64) == [Why.TOKEN_NAME_TAKEN]
    assert [kept.name for kept in accounts.tokens()] == ["one"]
    assert accounts.delete_token(number).name == "one"
    assert accounts.token_of("d" * 64) is None
    assert refused(accounts.delete_token, number) == [Why.NO_TOKEN]


def test_api_token_when_its_owner_is_demoted_or_deleted_then_ends(accounts: SqlAccounts):
    add(accounts, "root", ADMINISTRATOR)
    owner = add(accounts, "second", ADMINISTRATOR)
    accounts.create_token(token("admin", owner, ADMINISTRATOR), "a" * 64)
    accounts.create_token(token("user", owner), "b" * 64)
    accounts.create_token(token("foreign", None, ADMINISTRATOR), "c" * 64)
    accounts.change_user(owner, UserChange({}, (), (ADMINISTRATOR,)), 2.0)
    assert [kept.name for kept in accounts.tokens()] == ["user", "foreign"]
    accounts.delete_user(owner)
    assert [kept.name for kept in accounts.tokens()] == ["foreign"]


def wait(failures: int) -> float:
    return 8.0 if failures > 2 else 0.0


def test_attempts_when_too_many_then_wait_until_forgotten(accounts: SqlAccounts):
    def begin(now: float, *names: str) -> float:
        return accounts.begin_attempts(dict.fromkeys(names, wait), now, HOUR)

    assert [begin(100.0, "a", "b") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert begin(101.0, "a") == 7.0
    assert begin(101.0, "b", "c") == 7.0
    assert begin(101.0, "c") == 0.0
    assert begin(108.5, "a") == 0.0
    assert begin(108.5, "a") == 8.0
    accounts.end_attempts(["a"], ["b"])
    assert begin(109.0, "a") == 0.0
    assert begin(109.0, "b") == 0.0
    assert begin(109.0, "b") == 8.0
    assert begin(109.0 + HOUR + 1, "b") == 0.0
    assert begin(109.0, "b") == 0.0, "a clock that was set back"
    assert begin(200.0, "d") == 0.0
    assert begin(199.9, "d") == 0.0, "two at the same moment"


def test_attempts_when_looked_up_then_the_wait_and_nothing_is_counted(accounts: SqlAccounts):
    for _ in range(3):
        assert accounts.attempts_wait(["a", "b"], 100.0, HOUR) == 0.0
        accounts.begin_attempts({"a": wait}, 100.0, HOUR)
    for _ in range(9):
        assert accounts.attempts_wait(["b", "a"], 101.0, HOUR) == 7.0
        assert accounts.attempts_wait(["b"], 101.0, HOUR) == 0.0
    assert accounts.attempts_wait(["a"], 100.0 + HOUR + 1, HOUR) == 0.0


def test_clients_when_a_user_signs_in_then_known_for_that_user_until_deleted(
    accounts: SqlAccounts, monkeypatch
):
    monkeypatch.setattr(account_records, "MOST_CLIENTS", 2)
    one, two = add(accounts, "one", ADMINISTRATOR), add(accounts, "two", USER)
    for second, client in enumerate(("192.0.2.1", "192.0.2.2", "2001:db8:1:2::", "192.0.2.2")):
        accounts.remember_client(one, client, float(second))
    accounts.remember_client(two, "192.0.2.1", 9.0)
    assert not accounts.knows_client("one", "192.0.2.1", 0.0), "the oldest beyond the most"
    assert accounts.knows_client("one", "192.0.2.2", 3.0)
    assert not accounts.knows_client("one", "192.0.2.2", 3.1)
    assert accounts.knows_client("one", "2001:db8:1:2::", 0.0)
    assert accounts.knows_client("two", "192.0.2.1", 0.0)
    assert not accounts.knows_client("nobody", "192.0.2.1", 0.0)
    accounts.delete_user(two)
    with accounts.database.transaction():
        rows = accounts.database.rows("SELECT DISTINCT account FROM appliance_sign_in_client")
    assert rows == [(one,)]


def test_attempts_when_of_too_many_names_then_the_oldest_go(accounts: SqlAccounts, monkeypatch):
    monkeypatch.setattr(account_records, "MOST_ATTEMPT_NAMES", 3)
    for second in range(6):
        assert accounts.begin_attempts({f"n{second}": wait}, 100.0 + second, HOUR) == 0.0
    with accounts.database.transaction():
        rows = accounts.database.rows("SELECT name FROM appliance_sign_in_attempts ORDER BY name")
    assert [name for (name,) in rows] == ["n3", "n4", "n5"]


def test_attempts_when_many_at_once_then_all_are_counted(accounts, url, tmp_path):
    accounts.users()
    found = at_once(
        url, tmp_path, [lambda a: a.begin_attempts({"x": wait, "y": wait}, 50.0, HOUR)] * 6
    )
    assert sorted(found) == [0.0, 0.0, 0.0, 8.0, 8.0, 8.0]


def entry(happened: float, status: int | None = 200, **texts: str) -> AuditEntry:
    whole = {"who": "root", "address": "192.0.2.1", "action": "PUT /x", **texts}
    return AuditEntry(happened, **whole, status=status)


def test_audit_when_recorded_then_read_in_pages_and_completed(accounts: SqlAccounts):
    numbers = [accounts.record(entry(float(second), None)) for second in range(5)]
    accounts.complete(numbers[3], 409, "why")
    page = accounts.audit(2)
    assert [(e.id, e.status, e.detail) for e in page] == [
        (numbers[4], None, ""),
        (numbers[3], 409, "why"),
    ]
    assert [e.happened for e in accounts.audit(10, before=numbers[3])] == [2.0, 1.0, 0.0]
    long = accounts.record(entry(9.0, who="w" * 999, action="ü" * 999, detail="d" * 9999))
    (kept,) = accounts.audit(1)
    assert (kept.id, len(kept.who), len(kept.action), len(kept.detail)) == (long, 100, 200, 500)


def test_audit_when_expired_then_old_ones_go_and_in_each_room_those_beyond_its_number(
    accounts: SqlAccounts,
):
    for second in range(10):
        room = STRANGERS if second % 2 else ADMINISTRATORS
        accounts.record(entry(float(second), room=room))
    assert accounts.expire_audit(2.0, {STRANGERS: 3, ADMINISTRATORS: 100}) == 3
    assert [e.happened for e in accounts.audit(100)] == [9, 8, 7, 6, 5, 4, 2]
    assert accounts.expire_audit(2.0, {STRANGERS: 0, ADMINISTRATORS: 3}) == 4
    kept = [(e.happened, e.room) for e in accounts.audit(100)]
    assert kept == [(8, ADMINISTRATORS), (6, ADMINISTRATORS), (4, ADMINISTRATORS)]


def test_queries_when_a_token_is_looked_up_then_one_each(accounts: SqlAccounts, monkeypatch):
    number = add(accounts, "root", ADMINISTRATOR, USER)
    seen: list[str] = []
    execute = accounts.database.connection.execute_sql

    def counted(sql: str, *arguments: Any, **named: Any) -> Any:
        seen.append(sql)
        return execute(sql, *arguments, **named)

    monkeypatch.setattr(accounts.database.connection, "execute_sql", counted)
    accounts.user(number)
    accounts.user_named("root")
    accounts.token_of("d" * 64)
    accounts.session_with_user("s")
    assert len([sql for sql in seen if sql.startswith("SELECT")]) == 4


def test_database_when_away_then_a_storage_error():
    away = SqlAccounts(appliance_database("mysql://u:p@127.0.0.1:9/x", Path("/tmp")))
    with pytest.raises(StorageError):
        away.users()


def test_totp_when_enrolled_then_on_once_confirmed_and_each_code_good_once(accounts: SqlAccounts):
    ann, bob = add(accounts, "ann"), add(accounts, "bob")
    accounts.enrol_totp(ann, "FIRST")
    accounts.enrol_totp(ann, "SECOND")
    assert accounts.totp(ann) == Totp("SECOND", False, 0)
    assert not accounts.use_totp_step(ann, 9), "it is not on"
    assert not accounts.confirm_totp(ann, "FIRST", 10, ["a", "b"])
    assert accounts.confirm_totp(ann, "SECOND", 10, ["a", "b"])
    assert accounts.totp(ann) == Totp("SECOND", True, 2)
    assert refused(accounts.enrol_totp, ann, "THIRD") == [Why.TOTP_IS_ON]
    assert [accounts.use_totp_step(ann, step) for step in (9, 10, 11, 11)] == [
        *(False, False, True, False),
    ]
    assert not accounts.use_recovery_code(bob, "a")
    assert [accounts.use_recovery_code(ann, "a") for _ in range(2)] == [True, False]
    assert [accounts.disable_totp(ann) for _ in range(2)] == [True, False]
    assert accounts.totp(ann) is None
    assert not accounts.use_recovery_code(ann, "b")


def test_sessions_when_kept_then_each_user_s_newest_first_until_ended(accounts: SqlAccounts):
    ann, bob = add(accounts, "ann", USER, ADMINISTRATOR), add(accounts, "bob")
    first = Session("aa", ann, 10.0, 10.0, 1210.0, "192.0.2.1", "curl")
    accounts.create_session(first)
    accounts.create_session(replace(first, id="bb", created=20.0, user_agent="x" * 999))
    accounts.create_session(replace(first, id="cc", account=bob))
    newest, oldest = accounts.sessions(ann, 30.0)
    assert (newest.id, len(newest.user_agent), oldest) == ("bb", 200, first)
    kept = accounts.session_with_user("aa")
    assert kept == (first, accounts.user(ann))
    assert accounts.session_with_user("dd") is None
    assert accounts.use_session("aa", 40.0, 1240.0)
    assert accounts.sessions(ann, 1220.0) == [replace(first, used=40.0, expires=1240.0)]
    assert not accounts.use_session("dd", 40.0)
    assert not accounts.end_session(bob, "aa")
    assert accounts.end_session(ann, "aa")
    assert accounts.session_with_user("aa") is None
    accounts.delete_user(bob)
    assert accounts.session_with_user("cc") is None


def test_totp_when_the_user_is_deleted_then_gone(accounts: SqlAccounts):
    number = add(accounts, "ann")
    accounts.enrol_totp(number, "SECRET")
    accounts.confirm_totp(number, "SECRET", 1, ["a"])
    accounts.delete_user(number)
    assert accounts.totp(number) is None
    assert not accounts.use_recovery_code(number, "a")


def test_filter_when_set_then_the_user_s_sessions_and_tokens_have_it_until_it_goes(
    accounts: SqlAccounts,
):
    ann = accounts.create_user(
        UserChange({"username": "ann", "password_hash": "x"}, (USER,), filter="ip 10.0.0.0/8"), 1.0
    )
    bob = add(accounts, "bob", USER)
    accounts.create_session(Session("aa", ann, 10.0, 10.0, 1210.0, "192.0.2.1", "curl"))
    accounts.create_token(ApiToken(0, "of ann", USER, 1.0, None, ann), "a" * 64)
    accounts.create_token(ApiToken(0, "nobody's", USER, 1.0), "b" * 64)

    def bound() -> list[str | None]:
        kept, token = accounts.session_with_user("aa"), accounts.token_of("a" * 64)
        assert kept is not None
        assert token is not None
        return [*(user.filter for user in accounts.users()), kept[1].filter, token.filter]

    assert bound() == ["ip 10.0.0.0/8", None, "ip 10.0.0.0/8", "ip 10.0.0.0/8"]
    accounts.change_user(ann, change(email="a@b.de"), 2.0)
    assert bound()[0] == "ip 10.0.0.0/8"
    longest = "ip 10.0.0.0/8 " + "#" * 4082
    accounts.change_user(ann, UserChange({}, filter=longest), 3.0)
    assert bound() == [longest, None, longest, longest]
    nobodys = accounts.token_of("b" * 64)
    assert nobodys is not None
    assert (nobodys.filter, [token.filter for token in accounts.tokens()]) == (
        None,
        [longest, None],
    )
    accounts.change_user(ann, UserChange({}, filter=""), 4.0)
    assert bound() == [None, None, None, None]
    accounts.change_user(bob, UserChange({}, filter="port 1"), 5.0)
    accounts.delete_user(bob)
    rows = list(accounts.models.account_filter.select().tuples())
    assert rows == []


def test_administrator_when_bound_then_refused_whichever_comes_first(accounts: SqlAccounts):
    root, ann = add(accounts, "root", ADMINISTRATOR), add(accounts, "ann", ADMINISTRATOR)
    bind = UserChange({}, filter="port 1")
    assert refused(accounts.change_user, ann, bind, 1.0) == [Why.BOUND_ADMINISTRATOR]
    accounts.change_user(ann, UserChange({}, (USER,), (ADMINISTRATOR,), filter="port 1"), 2.0)
    promote = UserChange({}, (ADMINISTRATOR,))
    assert refused(accounts.change_user, ann, promote, 3.0) == [Why.BOUND_ADMINISTRATOR]
    made = UserChange({"username": "x", "password_hash": "x"}, (ADMINISTRATOR,), filter="port 1")
    assert refused(accounts.create_user, made, 4.0) == [Why.BOUND_ADMINISTRATOR]
    by_provider = ("digest", made, 4.0)
    assert refused(accounts.create_user_with_identity, *by_provider) == [Why.BOUND_ADMINISTRATOR]
    accounts.change_user(ann, UserChange({}, (ADMINISTRATOR,), filter=""), 5.0)
    assert [user.filter for user in accounts.users()] == [None, None]
    assert accounts.user(root) is not None
