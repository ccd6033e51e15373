"""Rules of users who are bound to a filter: the loader looks at nothing outside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.contracts import USER, AccountStore, ExporterRecord, User, UserChange
from appliance.errors import StorageError
from appliance.flows import V4_MAPPED, address_halves
from appliance.plugins.alerts.baseline_keeper import BaselineKeeper, HistoryNeed
from appliance.plugins.alerts.baseline_store import BaselineStore
from appliance.plugins.alerts.baselines import baseline_key
from appliance.plugins.alerts.evaluator import AlertLoader
from appliance.plugins.alerts.rule_sets import UserParts
from appliance.plugins.alerts.rules import Rule, RuleError
from appliance.plugins.alerts.store import Alert, AlertStore
from appliance.plugins.alerts.user_mails import UserMails
from appliance.plugins.alerts.user_rules import (
    KEPT_SECONDS,
    MAX_USER_ALERTS,
    USER_READY_MADE,
    check_limitable,
    user_store,
)
from appliance.plugins.alerts.visible_flows import VisibleFlows
from appliance.plugins.sql_accounts import account_store_from_url
from tests.mail_servers import mail_server
from tests.plugins.alerts.conftest import START, Told, World, flows
from tests.plugins.alerts.test_alerts import Listed
from tests.plugins.alerts.test_messages import web_server
from tests.web.building import FakeStore, settings_of

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Apprise's on Python 3.11 and 3.12."""

INSIDE, OUTSIDE = (V4_MAPPED | 0x0A010001, V4_MAPPED | 0x0A020001)
FILTER = "ip 10.1.0.0/16"
BUSY = {"measure": "bps", "by": "source", "window": 5, "limit": 1000.0}


class Told2(UserMails):
    """Keeps what users would be told."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings, UTC)
        self.said: list[str] = []

    def tell(self, owner: Any, rule: Rule, alert: Alert) -> None:
        self.said.append(f"{owner.name}: {alert.sentence}")


class Tenancy(World):
    """A log, and users who are bound to filters."""

    def __init__(self, settings: Any, database: str = "sqlite:appliance.sqlite") -> None:
        self.away, self.database = False, database
        self.mails = Told2(settings)
        super().__init__(settings)

    def new_loader(self) -> AlertLoader:
        exporter = ExporterRecord(2, "2001:db8::2", "core", "", 0.0, 0.0)
        parts = UserParts(
            self.settings, lambda: FakeStore([], [exporter]), self.open_accounts, self.mails
        )
        return AlertLoader(self.settings, Told(self.told), users=parts)

    def open_accounts(self) -> AccountStore:
        if self.away:
            raise StorageError("the accounts are away")
        store = account_store_from_url(self.database, self.settings)
        assert store is not None
        return store

    def add_user(self, name: str, text: str = FILTER) -> int:
        values = {"username": name, "password_hash": "x", "email": f"{name}@example.com"}
        with closing(self.open_accounts()) as accounts:
            return accounts.create_user(UserChange(values, (USER,), filter=text), time.time())

    def bind(self, account: int, text: str) -> None:
        """Bind a user to another filter; empty: to none."""
        with closing(self.open_accounts()) as accounts:
            accounts.change_user(account, UserChange({}, filter=text), time.time())

    def delete_user(self, account: int) -> None:
        with closing(self.open_accounts()) as accounts:
            accounts.delete_user(account)

    def store_of(self, account: int, text: str | None = None) -> AlertStore:
        return user_store(self.settings, account, 10, text)

    def rule_of(self, account: int, name: str = "a rule", **values: Any) -> Rule:
        rule = Rule(name, **{**BUSY, **values})
        self.store_of(account).put_rule(rule)
        self.read_rules()
        return rule

    def read_rules(self, seconds: float = 61) -> None:
        """Let as much time pass as until rules, accounts and names in filters are read again."""
        self.step(seconds=seconds)
        self.step()

    def both(self, n: int = 100, seconds: int = 3) -> None:
        """Let the same come from inside and outside."""
        for _ in range(seconds):
            self.step(
                flows(n, self.now, source_address_lo=INSIDE),
                flows(n, self.now, source_address_lo=OUTSIDE),
            )

    def open_subjects(self, account: int, text: str | None = None) -> list[str]:
        alerts = self.store_of(account, text).alerts(only_open=True)
        return sorted(alert.subject for alert in alerts)


@pytest.fixture
def world(settings: Any) -> Iterator[Tenancy]:
    world = Tenancy(settings)
    yield world
    world.writer.close(int(world.now * 1000))


def test_accounts_when_in_mariadb_then_the_filter_and_the_user_are_those_of_now(
    settings: Any, mariadb: Any
) -> None:
    world = Tenancy(settings, mariadb.new_database())
    account = world.add_user("customer")
    world.rule_of(account)
    world.both()
    assert world.open_subjects(account, FILTER) == ["10.1.0.1"]
    world.bind(account, "ip 10.2.0.0/16")
    world.read_rules()
    world.both()
    assert world.open_subjects(account) == ["10.2.0.1"]
    world.delete_user(account)
    assert world.add_user("customer") != account
    world.read_rules()
    world.both()
    assert world.open_subjects(account) == []
    world.writer.close(int(world.now * 1000))


def test_filter_when_it_names_an_exporter_as_people_do_then_by_the_store(world: Tenancy) -> None:
    # The store calls 2001:db8::2 so.
    account = world.add_user("customer", "exporter core")
    world.rule_of(account)
    high, low = address_halves("2001:db8::2")
    core = {"exporter_address_hi": high, "exporter_address_lo": low}
    for _ in range(3):
        world.step(
            flows(100, world.now, source_address_lo=INSIDE, **core),
            flows(100, world.now, source_address_lo=OUTSIDE),
        )
    assert world.open_subjects(account) == ["10.1.0.1"]


def test_list_in_the_filter_when_its_file_changes_then_windows_begin_anew(
    settings: Any, tmp_path: Path
) -> None:
    file = tmp_path / "customer.txt"
    file.write_text("10.2.0.0/16\n")
    world = Tenancy(Listed(settings, {"customer": file}))
    account = world.add_user("customer", "src ip in @customer")
    world.rule_of(account, measure="sources", by="", window=3600, limit=2)
    world.both()
    file.write_text("10.1.0.0/16\n")
    world.read_rules()
    # What was seen before, and is hidden now, is not in the hour that the rule measures.
    world.both()
    assert world.store_of(account).alerts() == []
    world.step(flows(1, world.now, source_address_lo=INSIDE + 1))
    assert world.open_subjects(account) == [""]
    world.writer.close(int(world.now * 1000))


def test_baseline_when_of_a_users_rule_then_of_hours_within_the_filter(world: Tenancy) -> None:
    hour = START // 3600 * 3600 - 7200
    for minute in range(60):
        at = hour + 60 * minute
        for source in (INSIDE, OUTSIDE):
            world.writer.append(flows(10, at, source_address_lo=source))
    world.writer.flush({}, START * 1000)
    rule = Rule("r", **{**BUSY, "window": 60, "condition": "above_baseline", "limit": 6.0})
    keeper, kept = BaselineKeeper(), {}
    for text in (FILTER, "ip 10.2.0.0/16"):
        store = BaselineStore(world.store_of(7, text), UTC, text)
        need = HistoryNeed(rule, VisibleFlows(world.settings, text), store)
        kept[text] = (store.key(rule), list(keeper._answer(need, hour, START).subjects))
    assert [subjects for _, subjects in kept.values()] == [["10.1.0.1"], ["10.2.0.1"]]
    # Hours of another filter are not taken for those of this one.
    assert len({key for key, _ in kept.values()} | {baseline_key(rule)}) == 3


def test_rule_when_a_users_then_of_flows_within_the_filter_with_evidence_of_these(
    world: Tenancy,
) -> None:
    account = world.add_user("customer")
    world.rule_of(account)
    world.both()
    [alert] = world.store_of(account).alerts()
    assert alert.subject == "10.1.0.1"
    assert {row["source"] for row in alert.evidence} == {"10.1.0.1"}
    # The appliance's own list, its messages and its rules do not know of it.
    assert world.alerts(only_open=False) == []
    assert world.told == []
    assert [rule for rule in world.loader.store.rules() if rule.is_on] == []
    assert world.mails.said == [f"customer: {alert.sentence}"]


@pytest.mark.parametrize("text", ["any", "ip 10.2.0.1", "not ip 10.1.0.0/16", "any or ip 10.2.0.1"])
def test_rule_when_its_filter_asks_for_more_then_nothing_outside(world: Tenancy, text: str) -> None:
    account = world.add_user("customer")
    world.rule_of(account, filter=text)
    world.both()
    assert set(world.open_subjects(account)) <= {"10.1.0.1"}
    assert all("10.2." not in alert.sentence for alert in world.store_of(account).alerts())


@pytest.mark.parametrize("text", ["any) or (any", "ip 10.1.0.1) or (ip 10.2.0.1", "ip in @bad"])
def test_rule_when_its_filter_breaks_out_then_not_understood_and_not_looked_at(
    world: Tenancy, text: str
) -> None:
    account = world.add_user("customer")
    world.rule_of(account, filter=text)
    world.both()
    assert world.store_of(account).alerts() == []
    assert any(warning.startswith("customer: rule a rule: ") for warning in world.warnings)


def test_share_when_a_users_then_of_what_the_user_sees(world: Tenancy) -> None:
    account = world.add_user("customer")
    world.rule_of(account, measure="share", limit=90)
    for _ in range(3):
        world.step(
            flows(10, world.now, source_address_lo=INSIDE),
            flows(990, world.now, source_address_lo=OUTSIDE),
        )
    [alert] = world.store_of(account).alerts()
    assert (alert.subject, alert.peak) == ("10.1.0.1", 100)


def test_different_values_when_a_users_then_counted_within_the_filter(world: Tenancy) -> None:
    account = world.add_user("customer", "src ip 10.1.0.0/16")
    world.rule_of(account, measure="destinations", by="", window=60, limit=5)
    some = np.arange(6, dtype="u8") + np.uint64(V4_MAPPED | 0xCB007100)
    many = np.arange(500, dtype="u8") + np.uint64(V4_MAPPED | 0xCB007100)
    world.step(
        flows(6, world.now, source_address_lo=INSIDE, destination_address_lo=some),
        flows(500, world.now, source_address_lo=OUTSIDE, destination_address_lo=many),
    )
    assert [alert.peak for alert in world.store_of(account).alerts()] == [6]


def test_missing_flows_when_a_users_then_no_group_is_remembered_from_outside(
    world: Tenancy,
) -> None:
    account = world.add_user("customer")
    world.rule_of(account, measure="fps", window=10, condition="below", limit=0.01)
    world.both(1, 15)
    for _ in range(25):
        world.step()
    assert world.open_subjects(account) == ["10.1.0.1"]


def test_filter_when_changed_then_counts_without_editing_the_rule(world: Tenancy) -> None:
    account = world.add_user("customer")
    world.rule_of(account)
    world.both()
    assert world.open_subjects(account) == ["10.1.0.1"]
    world.bind(account, "ip 10.2.0.0/16")
    said = list(world.mails.said)
    # Long before names in filters are read again.
    world.read_rules(6)
    # What was found under the other filter is over, nobody is told of it, and it is not shown.
    assert world.open_subjects(account) == []
    assert world.mails.said == said
    world.both()
    assert world.open_subjects(account, "ip 10.2.0.0/16") == ["10.2.0.1"]
    assert [a.subject for a in world.store_of(account, "ip 10.2.0.0/16").alerts()] == ["10.2.0.1"]
    assert [a.subject for a in world.store_of(account, FILTER).alerts()] == ["10.1.0.1"]


def test_filter_when_changed_while_nothing_runs_then_old_alerts_end(world: Tenancy) -> None:
    account = world.add_user("customer")
    world.rule_of(account)
    world.both()
    world.bind(account, "ip 10.3.0.0/16")
    world.loader = world.new_loader()
    world.both()
    assert world.open_subjects(account) == []


@pytest.mark.parametrize("end", ["", "deleted", "any", "ip in @gone", "ip 10.1.0.0/33"])
def test_filter_when_gone_then_the_rule_is_not_looked_at_and_its_alerts_end(
    world: Tenancy, end: str
) -> None:
    account = world.add_user("customer")
    world.rule_of(account)
    world.both()
    assert world.open_subjects(account) == ["10.1.0.1"]
    if end == "deleted":
        world.delete_user(account)
    elif end == "":
        world.bind(account, "")
    else:
        accounts: Any = world.open_accounts()
        bound = accounts.models.account_filter
        # As a list or an interface that was renamed later leaves it.
        with closing(accounts), accounts.writing():
            bound.update(bound_to=end).where(bound.account == account).execute()
    world.read_rules()
    world.both()
    assert world.open_subjects(account) == []
    assert len(world.store_of(account).alerts()) == 1
    is_told = any("customer is bound to no usable filter" in text for text in world.warnings)
    assert is_told == (end not in ("", "deleted"))


def test_user_when_made_again_with_the_same_name_then_has_no_rule_of_before(
    world: Tenancy,
) -> None:
    before = world.add_user("customer")
    world.rule_of(before)
    world.delete_user(before)
    after = world.add_user("customer", "ip 10.2.0.0/16")
    assert after != before
    world.read_rules()
    world.both()
    assert [alert.subject for alert in world.store_of(before).alerts()] == []
    assert world.store_of(after).alerts() == []
    assert {rule.name for rule in world.store_of(after).rules()} == {
        rule.name for rule in USER_READY_MADE
    }


def test_accounts_when_away_then_users_rules_wait_and_the_appliances_go_on(
    world: Tenancy,
) -> None:
    account = world.add_user("customer")
    world.rule_of(account)
    world.rule(by="source", window=5, limit=1000)
    world.both()
    assert world.open_subjects(account) == ["10.1.0.1"]
    [before] = world.store_of(account).alerts()
    world.away = True
    world.read_rules()
    world.both()
    assert world.subjects() == ["10.1.0.1", "10.2.0.1"]
    # Nobody knows what the user may see: the alert neither ends, nor is another begun.
    assert [a.id for a in world.store_of(account).alerts(only_open=True)] == [before.id]
    assert any("rules of users wait" in warning for warning in world.warnings)
    world.away = False
    world.read_rules()
    world.both()
    assert world.open_subjects(account) == ["10.1.0.1"]


def test_users_when_several_then_each_has_own_alerts(world: Tenancy) -> None:
    one, other = world.add_user("one"), world.add_user("other", "ip 10.2.0.0/16")
    world.rule_of(one)
    world.rule_of(other)
    world.both()
    [first], [second] = world.store_of(one).alerts(), world.store_of(other).alerts()
    assert (first.subject, second.subject) == ("10.1.0.1", "10.2.0.1")
    # Numbers of alerts do not tell how many others have.
    assert first.id == second.id == 1
    assert sorted(text.partition(":")[0] for text in world.mails.said) == ["one", "other"]


@pytest.mark.parametrize(
    "values",
    [
        {"measure": "lost", "by": "exporter"},
        {"measure": "waiting", "by": "exporter"},
        {"measure": "sampling_changes", "by": "exporter"},
        {"by": "ingress_interface", "condition": "utilisation", "limit": 90},
    ],
    ids=str,
)
def test_rule_when_it_cannot_be_limited_then_refused_and_not_looked_at(
    world: Tenancy, values: dict[str, Any]
) -> None:
    account = world.add_user("customer")
    with pytest.raises(RuleError, match="a user who is bound to a filter cannot have it"):
        check_limitable(Rule("r", **{**BUSY, **values}))
    # As a backup of another version may bring it.
    world.rule_of(account, **values)
    world.both()
    assert world.store_of(account).alerts() == []
    assert any("cannot have it" in warning for warning in world.warnings)


def test_ready_made_when_for_users_then_all_can_be_limited() -> None:
    assert {rule.name for rule in USER_READY_MADE} >= {"SYN flood", "scan of many ports"}
    for rule in USER_READY_MADE:
        check_limitable(rule)
        assert not rule.is_on


def test_rules_when_too_many_then_refused(world: Tenancy) -> None:
    account = world.add_user("customer")
    store = user_store(world.settings, account, 2)
    for name in ("a", "b"):
        store.put_rule(Rule(name, **BUSY))
    store.put_rule(Rule("a", **{**BUSY, "limit": 5.0}))
    with pytest.raises(RuleError, match="2 rules are the most"):
        store.put_rule(Rule("c", **BUSY))
    store.delete_rule("a")
    store.put_rule(Rule("c", **BUSY))


def test_alerts_when_very_many_then_the_newest_of_each_user_are_kept(world: Tenancy) -> None:
    store = world.store_of(world.add_user("customer"), FILTER)
    facts = ("r", "", "info", (), START, None, 1.0, "s", ())
    for _ in range(MAX_USER_ALERTS + 5):
        number = store.open_alert(Alert(0, *facts, None, None, None))
        store.update_alert(number, 1.0, START)
    assert len(store.alerts(limit=5000)) == MAX_USER_ALERTS


def test_files_of_users_who_are_gone_when_old_then_deleted(world: Tenancy) -> None:
    gone, there = world.add_user("gone"), world.add_user("there")
    for account in (gone, there):
        world.rule_of(account)
    world.delete_user(gone)
    assert world.loader.expire(time.time()) == 0
    assert world.loader.expire(time.time() + KEPT_SECONDS + 60) == 1
    assert not world.store_of(gone).path.exists()
    assert world.store_of(there).path.exists()
    world.away = True
    assert world.loader.expire(time.time() + KEPT_SECONDS + 60) == 0
    assert world.store_of(there).path.exists()


def owner_of(settings: Any, email: str | None) -> Any:
    from appliance.plugins.alerts.user_rules import RuleOwner

    user = User(7, "customer", "", "", email=email, filter=FILTER)
    return RuleOwner(7, user, user_store(settings, 7, 10))


ALERT = Alert(1, "r", "", "critical", (), START, None, 1.0, "r: too much", (), None, None, None)


def test_mail_when_a_users_then_to_the_accounts_address_and_nowhere_else(tmp_path: Any) -> None:
    with mail_server() as (port, received), web_server() as (web_port, posted):
        tree = {
            "mail": {"server": f"mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure"},
            "alerts": {"send_to": [f"json://127.0.0.1:{web_port}/hook", "mailto:noc@example.com"]},
        }
        settings = settings_of(tmp_path, tree)
        mails = UserMails(settings, UTC)
        rule = Rule("r", limit=1)
        mails.tell(owner_of(settings, "noc@customer.example"), rule, ALERT)
        mails.tell(owner_of(settings, None), rule, ALERT)
        mails.tell(owner_of(settings, "x@y.example, other@z.example"), rule, ALERT)
        # The address that an administrator sets is the one from then on.
        mails.tell(owner_of(settings, "new@customer.example"), rule, ALERT)
        mails.stop()
    assert [mail["To"] for mail in received] == ["noc@customer.example", "new@customer.example"]
    assert "CRITICAL: r: too much" in received[0]["Subject"]
    assert posted == []


def test_mail_when_an_administrator_allows_none_then_none(tmp_path: Any) -> None:
    with mail_server() as (port, received):
        tree = {
            "mail": {"server": f"mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure"},
            "alerts": {"most_mails_of_user_an_hour": 0},
        }
        mails = UserMails(settings_of(tmp_path, tree), UTC)
        settings = settings_of(tmp_path, tree)
        mails.tell(owner_of(settings, "noc@customer.example"), Rule("r", limit=1), ALERT)
        mails.stop()
    assert received == []


def test_rules_of_users_when_none_are_allowed_then_not_looked_at(
    world: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.add_user("customer")
    world.rule_of(account)
    world.both()
    assert world.open_subjects(account) == ["10.1.0.1"]
    monkeypatch.setattr(world, "settings", _Changed(world.settings))
    world.loader = world.new_loader()
    world.both()
    assert world.open_subjects(account) == []


class _Changed:
    """Settings by which users have no rules."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __getitem__(self, name: Any) -> Any:
        return 0 if name == "alerts.most_rules_of_user" else self._settings[name]


def test_rule_when_edited_then_its_alerts_end_and_the_user_is_told(world: Tenancy) -> None:
    account = world.add_user("customer")
    rule = world.rule_of(account)
    world.both()
    world.store_of(account).put_rule(replace(rule, is_on=False))
    world.read_rules()
    assert world.open_subjects(account) == []
    assert len(world.mails.said) == 2
