"""The sender of reports: makes those that are due, keeps them and sends them, in its own thread.

Of several processes over one data directory the one that holds the lock works. What was done stands
in the store before the next step begins, so that nothing is made or sent twice after a restart; of
what was missed while nothing ran, the newest period is made up for.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

from appliance import FlowStore, Settings, StorageError
from appliance.errors import QueryError
from appliance.mail import MailError, Refusal, mail_server, send_message
from appliance.plugins.reports.mails import Envelope, report_mail
from appliance.plugins.reports.named_reports import NamedReport
from appliance.plugins.reports.report_store import (
    DONE,
    GIVEN_UP,
    WAITING,
    Delivery,
    ReportStore,
    report_store,
)
from appliance.ratelimit import RateLimited
from appliance.web.store_access import StoreAccess
from appliance.web.times import local_zone

logger = RateLimited(logging.getLogger(__name__))

LOOK_SECONDS = 15.0
PAUSES_SECONDS = (60.0, 300.0, 900.0, 3600.0)
"""Before each further try; the last one again and again."""

PATIENCE_SECONDS = 86_400.0
"""A report that could not be sent for so long is given up; it is kept all the same."""

LOCK_FILE = "reports.lock"

Send = Callable[[EmailMessage, str, Sequence[str]], Mapping[str, Refusal]]
OpenStore = Callable[[], FlowStore]


class ReportSender:
    """Makes and sends the named reports of one data directory.

    Parameters
    ----------
    open_store
        Opens the store of flows, which answers what it can.
    clock
        Seconds UTC.
    """

    def __init__(
        self, settings: Settings, open_store: OpenStore, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._open_store, self._clock = settings, open_store, clock
        self.store: ReportStore = report_store(settings)
        self._zone = local_zone(settings["timezone"])
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to look for what is due, if that was not begun; does not wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the report that is being made or sent, or without it if that takes long."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                while self.work_once() and not self._stopping.is_set():
                    pass
            except (StorageError, OSError) as error:
                logger.warning("reports: %s", error)
            # Whatever a question or a library raises must not end the thread.
            except Exception:
                logger.exception("reports failed")
            self._stopping.wait(LOOK_SECONDS)

    def work_once(self) -> bool:
        """Do the next step of one report; return whether there was one.

        Raises
        ------
        StorageError
            The store cannot be read or written.
        """
        if not self.store.path.exists():
            return False
        with self._lock() as is_mine:
            if not is_mine:
                return False
            now = self._clock()
            known = self.store.reports()
            for report, since in known.values():
                period = report.due_period(now, self._zone)
                # Not what was due before the report was there: nobody waits for that.
                if report.is_on and report.due_at(period, self._zone) >= since:
                    self.store.plan(report, period, now)
            delivery = self.store.next_waiting(now)
            if delivery is None:
                return False
            known_report = known.get(delivery.report)
            if known_report is None or not known_report[0].is_on:
                text = "the report was switched off"
                self.store.update(delivery._replace(state=GIVEN_UP, problem=text), given_up=1)
            else:
                self._deliver(delivery, known_report[0], now)
            return True

    def _deliver(self, delivery: Delivery, report: NamedReport, now: float) -> None:
        try:
            content = self.store.kept(report.name, delivery.since)
            if content is None:
                content = self._make(delivery, report, now)
            if not delivery.pending:
                self.store.update(delivery._replace(state=DONE, problem=""))
                return
            self._note_try(delivery, now)
            refusals = self._send(content, report, delivery.pending, now)
        # Whatever a question or a mail server's answer raises: this report is tried again later,
        # and the others go on.
        except Exception as error:
            is_ours = isinstance(error, MailError | QueryError | StorageError)
            text = str(error) if is_ours else type(error).__name__
            if not is_ours:
                logger.exception("report %s failed", report.name)
            self._put_off(delivery, text[:300], now)
        else:
            self._note_sent(delivery, refusals, now)

    def _make(self, delivery: Delivery, report: NamedReport, now: float) -> dict[str, Any]:
        content = made_report(self._settings, report, delivery, now, (self._open_store, self._zone))
        self.store.keep(report.name, delivery.period, content, now)
        return content

    def _send(
        self, content: Mapping[str, Any], report: NamedReport, to: Sequence[str], now: float
    ) -> Mapping[str, Refusal]:
        server = mail_server(self._settings)
        envelope = Envelope(server.sender, to, site_name(self._settings), now)
        return send_message(server, report_mail(content, envelope, report.zone_of(self._zone)), to)

    def _note_try(self, delivery: Delivery, now: float) -> None:
        """Keep that a mail is about to be sent: on a full disk none goes out again and again."""
        tries = delivery.tries + 1
        text = "its last try was not noted to its end"
        self.store.update(delivery._replace(tries=tries, next_at=now + _pause(tries), problem=text))

    def _note_sent(self, delivery: Delivery, refusals: Mapping[str, Refusal], now: float) -> None:
        """Keep who has it, who is tried again, and who was refused for good."""
        again = tuple(who for who, refusal in refusals.items() if not refusal.is_permanent)
        lost = len(refusals) - len(again)
        was_taken = len(refusals) < len(delivery.pending)
        said = "; ".join(f"{who}: {one.code} {one.text}" for who, one in refusals.items())
        text = said[:300]
        if again:
            rest = delivery._replace(pending=again)
            self._put_off(rest, text, now, sent=int(was_taken), refused=lost)
            return
        if lost:
            logger.warning("report %s is refused: %s", delivery.report, text)
        state = DONE if was_taken or not lost else GIVEN_UP
        counts = {"sent": int(was_taken), "refused": lost, "given_up": int(state == GIVEN_UP)}
        self.store.update(delivery._replace(state=state, pending=(), problem=text), **counts)

    def _put_off(self, delivery: Delivery, problem: str, now: float, **counts: int) -> None:
        """Try again after a pause, or give up."""
        tries = delivery.tries + 1
        pause = _pause(tries)
        is_over = now + pause > delivery.begun + PATIENCE_SECONDS
        state = GIVEN_UP if is_over else WAITING
        rest = "given up" if is_over else f"tried again in {pause / 60:.0f} minutes"
        logger.warning("report %s could not be sent: %s; %s", delivery.report, problem, rest)
        later = delivery._replace(state=state, tries=tries, next_at=now + pause, problem=problem)
        self.store.update(later, failed=1, given_up=int(is_over), **counts)

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Hold the lock of the data directory; yields whether it is ours, and does not wait."""
        path = self.store.path.with_name(LOCK_FILE)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            # Of the open file, not of the process: two senders of one process exclude each other.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)


def _pause(tries: int) -> float:
    return PAUSES_SECONDS[min(tries, len(PAUSES_SECONDS)) - 1]


def made_report(
    settings: Settings,
    report: NamedReport,
    delivery: Delivery,
    now: float,
    source: tuple[OpenStore, Any],
) -> dict[str, Any]:
    """Return what a named report says of a period."""
    # With the search of the flow log, whose modules are large and rarely wanted.
    from appliance.plugins.reports.making import ReportMaker
    from appliance.query.engine import engine_from_settings

    access = StoreAccess(source[0])
    try:
        zone = report.zone_of(source[1])
        engine = engine_from_settings(settings, access.store)
        maker = ReportMaker(settings, zone, now, engine, report.contents)
        return maker.make(delivery.period)
    finally:
        access.close()


def site_name(settings: Settings) -> str:
    """Return what the appliance is called in mails: `collector.name`, or what its host is."""
    own = str(settings["collector.name"]) if "collector.name" in settings else ""
    name = own or socket.gethostname()
    return "".join(letter for letter in name if letter.isprintable())[:80] or "NetFlow appliance"
