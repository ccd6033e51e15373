"""Reports by mail to a real server: once, made up for, tried again, and what stands in them."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from appliance.errors import StorageError
from appliance.flowlog import FLOW_LOG_FOLDER
from appliance.plugins.reports import sending
from appliance.plugins.reports.report_loader import ReportLoader
from appliance.plugins.reports.report_metrics import ReportMetrics
from appliance.plugins.reports.report_store import DONE, GIVEN_UP, WAITING
from tests.plugins.reports.conftest import DAY, HOUR, MONDAY, World, no_store
from tests.web.building import settings_of

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Apprise's on Python 3.11 and 3.12."""

SIX = MONDAY + 6 * HOUR


def part(mail: Any, kind: str) -> Any:
    return next(one for one in mail.walk() if one.get_content_type() == kind).get_content()


def csv_rows(mail: Any, kind: str) -> list[dict[str, str]]:
    [file] = [one for one in mail.iter_attachments() if one.get_filename().endswith(f"{kind}.csv")]
    return list(csv.DictReader(io.StringIO(file.get_content())))


def test_report_when_its_week_is_over_then_one_mail_with_all_of_it(world: World) -> None:
    world.put()
    world.work(SIX - 1)
    assert world.received == []
    world.work(SIX + DAY)
    [mail] = world.received
    assert mail.envelope_to == ["noc@example.com", "ops@example.org"]
    site = socket.gethostname()
    assert mail["Subject"] == f"{site}: NOC, 2026-01-26 to 2026-02-01"
    assert (mail["From"].addresses[0].addr_spec, mail["To"]) == (
        "box@example.com", "noc@example.com, ops@example.org",
    )  # fmt: skip
    assert mail["Auto-Submitted"] == "auto-generated"
    for kind in ("text/plain", "text/html"):
        text = part(mail, kind)
        assert "168.0 MB" in text
        assert "https (tcp/443)" in text
        assert "10.0.0.254/7" in text
    picture = Image.open(io.BytesIO(part(mail, "image/png")))
    assert picture.size == (1200, 400)
    [row] = csv_rows(mail, "top")[:1]
    assert (row["by"], row["key"], row["octets"]) == ("source", "10.0.0.1", "168000000")
    assert len(csv_rows(mail, "traffic")) == 96
    assert {row["bins"] for row in csv_rows(mail, "billing")} == {"2016"}
    assert world.store.counts() | {"made": 1, "sent": 1} == world.store.counts()


def test_report_when_the_process_begins_anew_then_not_sent_again(world: World) -> None:
    world.put()
    world.work(SIX)
    for _ in range(3):
        world.sender = world.new_sender()
        world.work(world.now + HOUR)
    assert len(world.received) == 1
    assert world.delivery().state == DONE


def test_report_when_two_processes_run_then_one_of_them_sends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put()
    world.now = SIX
    is_sending, others_are_done = threading.Event(), threading.Event()
    send = sending.send_message

    def slow(*facts: Any) -> Any:
        is_sending.set()
        assert others_are_done.wait(60)
        return send(*facts)

    monkeypatch.setattr(sending, "send_message", slow)
    first = threading.Thread(target=world.sender.work_once)
    first.start()
    assert is_sending.wait(60)
    assert [world.new_sender().work_once() for _ in range(3)] == [False] * 3
    others_are_done.set()
    first.join(60)
    assert [world.new_sender().work_once() for _ in range(3)] == [False] * 3
    assert len(world.received) == 1


def test_report_when_the_machine_was_off_then_only_the_newest_is_made_up_for(
    world: World,
) -> None:
    world.put(kind="daily")
    world.now = MONDAY + 9 * DAY
    world.work(world.now + HOUR)
    assert [mail["Subject"].split(", ")[1] for mail in world.received] == ["2026-02-09"]
    world.work(world.now + 6 * HOUR)
    assert [mail["Subject"].split(", ")[1] for mail in world.received[1:]] == ["2026-02-10"]


def test_report_when_it_is_new_then_nothing_that_was_due_before(world: World) -> None:
    world.now = MONDAY + 2 * DAY
    world.put()
    world.work(MONDAY + 6 * DAY, HOUR)
    assert world.received == []
    world.work(MONDAY + 7 * DAY + 7 * HOUR, HOUR)
    assert len(world.received) == 1


def test_report_when_it_was_off_then_not_what_was_due_meanwhile(world: World) -> None:
    world.put(kind="daily")
    world.store.switch("NOC", False)
    world.work(SIX + HOUR)
    assert world.received == []
    # A change of what is in it is no reason to begin anew, switching on is.
    report = world.store.report_with("NOC", {"is_on": True})
    world.store.put(report, world.now)
    world.store.put(world.store.report_with("NOC", {"rows": 5}), world.now + 1)
    world.work(SIX + 2 * HOUR)
    assert world.received == []


def test_report_when_the_server_is_away_then_tried_again_with_growing_pauses(
    world: World,
) -> None:
    world.put()
    world.data_answer = "451 4.3.0 try later"
    tries = [SIX]
    world.work(SIX)
    while (delivery := world.delivery()).state == WAITING:
        assert "says 451 4.3.0 try later" in delivery.problem
        # Not before its time.
        world.now = delivery.next_at - 1
        assert world.sender.work_once() is False
        tries.append(delivery.next_at)
        world.work(delivery.next_at)
    pauses = [round((b - a) / 60) for a, b in itertools.pairwise(tries)]
    assert pauses[:4] == [1, 5, 15, 60]
    assert set(pauses[4:]) == {60}
    assert tries[-1] - tries[0] <= DAY
    assert world.delivery().state == GIVEN_UP
    counts = world.store.counts()
    assert (counts["failed"], counts["given_up"], counts["sent"]) == (len(tries), 1, 0)
    # It was made once, and can be looked at.
    assert counts["made"] == 1
    assert world.store.kept("NOC", MONDAY - 7 * DAY)


def test_report_when_the_server_is_back_then_sent_as_it_was_made(world: World) -> None:
    world.put()
    world.data_answer = "451 later"
    world.work(SIX)
    shutil.rmtree(world.settings["data_directory"] / FLOW_LOG_FOLDER)
    world.data_answer = "250 OK"
    world.work(SIX + HOUR)
    [mail] = world.received
    assert "168.0 MB" in part(mail, "text/plain")
    assert world.delivery()._replace(next_at=0) == world.delivery()._replace(
        next_at=0, state=DONE, pending=(), problem=""
    )


def test_report_when_one_recipient_is_put_off_then_only_they_are_tried_again(
    world: World,
) -> None:
    world.put(to=("noc@example.com", "ops@example.org", "gone@example.com"))
    world.answers |= {"ops@example.org": "450 greylisted", "gone@example.com": "550 no such user"}
    world.work(SIX)
    assert world.received[0].envelope_to == ["noc@example.com"]
    assert (world.delivery().state, world.delivery().pending) == (WAITING, ("ops@example.org",))
    world.answers.pop("ops@example.org")
    world.work(SIX + HOUR)
    assert world.received[1].envelope_to == ["ops@example.org"]
    assert world.delivery().state == DONE
    counts = world.store.counts()
    assert (counts["sent"], counts["refused"]) == (2, 1)


def test_report_when_all_are_refused_for_good_then_given_up_at_once(world: World) -> None:
    world.put(to=("gone@example.com",))
    world.answers["gone@example.com"] = "550 no such user"
    world.work(SIX + HOUR)
    assert world.delivery().state == GIVEN_UP
    assert "gone@example.com: 550 no such user" in world.delivery().problem
    assert world.delivery().tries == 0


def test_report_when_the_process_dies_before_it_is_noted_then_the_same_message_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put()
    update = type(world.store).update

    def die(store: Any, delivery: Any, **counts: int) -> None:
        if counts:
            raise KeyboardInterrupt
        update(store, delivery)

    with monkeypatch.context() as patch:
        patch.setattr(type(world.store), "update", die)
        with pytest.raises(KeyboardInterrupt):
            world.work(SIX)
    world.sender = world.new_sender()
    world.work(SIX + HOUR)
    assert len(world.received) == 2
    assert len({mail["Message-ID"] for mail in world.received}) == 1


def test_report_when_nothing_can_be_noted_then_no_mail_again_and_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put()
    update = type(world.store).update

    def work(fails: Callable[[Mapping[str, int]], bool], until: float) -> None:
        def full(store: Any, delivery: Any, **counts: int) -> None:
            if fails(counts):
                raise StorageError("database or disk is full")
            update(store, delivery, **counts)

        with monkeypatch.context() as patch:
            patch.setattr(type(world.store), "update", full)
            while world.now < until:
                world.now += 60
                with contextlib.suppress(StorageError):
                    world.sender.work_once()

    # The disk is full all the time: nothing is sent. Then it is full after each mail.
    world.now = SIX - 60
    work(lambda counts: True, SIX + HOUR / 6)
    assert world.received == []
    work(bool, SIX + 2 * HOUR)
    assert 1 <= len(world.received) <= 5
    assert len({mail["Message-ID"] for mail in world.received}) == 1


def test_report_when_the_next_one_is_due_then_the_old_one_is_given_up(world: World) -> None:
    world.put(kind="daily")
    world.data_answer = "451 later"
    world.now = MONDAY + 20 * HOUR
    world.work(MONDAY + 30 * HOUR - 1)
    assert (world.delivery().since, world.delivery().state) == (MONDAY - DAY, WAITING)
    world.data_answer = "250 OK"
    world.work(MONDAY + 31 * HOUR)
    assert [mail["Subject"].split(", ")[1] for mail in world.received] == ["2026-02-02"]
    assert world.store.counts()["given_up"] == 1


def test_report_when_it_has_no_recipients_then_kept_only(world: World) -> None:
    world.put(to=())
    world.work(SIX)
    assert world.received == []
    assert world.delivery().state == DONE
    assert [one.period for one in world.store.all_kept()] == ["2026-01-26 to 2026-02-01"]


def test_reports_when_very_many_are_kept_then_the_oldest_go(world: World) -> None:
    world.put(kind="daily", to=())
    world.work(MONDAY + 6 * DAY, 12 * HOUR)
    assert [one.period for one in world.store.all_kept("NOC")] == [
        f"2026-02-0{day}" for day in (6, 5, 4)
    ]
    rows = world.store._file.rows("SELECT count(*) FROM delivery")
    assert rows == [(3,)]


def test_report_when_one_cannot_be_made_then_the_others_are_sent(world: World) -> None:
    # Of a list that left the settings after the report was set.
    world.put(filter="ip in @gone")
    world.put(name="other")
    world.work(SIX)
    assert [mail["Subject"].split(": ")[1].split(",")[0] for mail in world.received] == ["other"]
    assert "gone" in world.delivery().problem
    assert world.delivery().state == WAITING


def test_report_when_mail_server_is_not_set_then_it_says_so_and_is_kept(world: World) -> None:
    world.put()
    world.settings = settings_of(world.settings["data_directory"].parent)
    world.sender = world.new_sender()
    world.work(SIX)
    assert world.delivery().problem.startswith("mail.server is not set")
    assert len(world.store.all_kept()) == 1


class _Markup(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_mail_when_names_are_markup_then_they_are_text(world: World) -> None:
    world.put(customers=("Acme <b>&co</b>", "=1+1"), filter="src net 10.0.0.0/8")
    world.work(SIX)
    [mail] = world.received
    page = part(mail, "text/html")
    assert "Acme &lt;b&gt;&amp;co&lt;/b&gt;" in page
    markup = _Markup()
    markup.feed(page)
    assert not markup.tags & {"script", "iframe", "object", "link", "form"}
    assert not {name for name in markup.attributes if name.startswith("on")}
    assert "http" not in page.replace("https (", "")
    names = [row["name"] for row in csv_rows(mail, "billing")]
    assert "'=1+1" in names


def test_loader_when_the_mail_server_hangs_then_it_never_waits(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = f"mailto://127.0.0.1:{port}?from=box@example.com&mode=insecure"
        world.settings = settings_of(
            world.settings["data_directory"].parent, {"mail": {"server": address}}
        )
        world.put()
        world.now = SIX
        sender = world.new_sender()
        loader = ReportLoader(sender)
        loader.load_once(world.now)
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            # The sender waits for a greeting now, and the loader goes on.
            assert loader.load_once(world.now).busy is False
            assert loader.cursor() is not None
            assert sender._thread is not None
            assert sender._thread.is_alive()
        deadline = time.monotonic() + 60
        while not world.delivery().tries:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
        assert loader.finish(world.now) == []


def test_metrics_when_scraped_then_what_was_sent_and_what_waits(world: World) -> None:
    world.put()
    world.put(name="other", to=("gone@example.com",))
    world.answers["gone@example.com"] = "450 later"
    world.work(SIX)
    samples = {
        sample.name: sample.value
        for family in ReportMetrics(world.settings).collect()
        for sample in family.samples
    }
    assert samples["appliance_reports_sent_total"] == 1
    assert samples["appliance_reports_made_total"] == 2
    assert samples["appliance_reports_failed_total"] == 1
    assert samples["appliance_reports_waiting"] == 1


def test_sender_when_there_is_nothing_then_no_file(tmp_path: Any) -> None:
    settings = settings_of(tmp_path)
    sender = sending.ReportSender(settings, no_store)
    assert sender.work_once() is False
    assert not settings["data_directory"].exists()
