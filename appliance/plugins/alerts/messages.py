"""Messages of alerts, sent by a thread of their own: together, not too many, again on failure."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo

from appliance import ApplianceError, Settings
from appliance.plugins.alerts.account_mails import account_sender
from appliance.plugins.alerts.alert_settings import plain_recipient, plain_recipients
from appliance.plugins.alerts.rules import Rule
from appliance.plugins.alerts.store import Alert
from appliance.plugins.alerts.trap_addresses import is_trap_address
from appliance.plugins.alerts.traps import Notice, SendTraps
from appliance.ratelimit import RateLimited

logger = RateLimited(logging.getLogger(__name__))

MOST_WAITING = 1000
MOST_LINES = 20
GATHER_SECONDS = 2.0
"""Alerts that begin together are one message."""

PAUSES_SECONDS = (5.0, 30.0, 120.0)
"""Before each further try."""

HOUR_SECONDS = 3600.0
_WORDS = {"info": "Info", "warning": "Warning", "critical": "CRITICAL"}

Send = Callable[[str, str], bool]
"""Sends a title and a text; returns whether all took it."""


class Messages:
    """Tells people of alerts; never waits.

    Attributes
    ----------
    counts
        `sent`, `failed`, `dropped` messages and `traps` since the start.

    Parameters
    ----------
    send
        None: nobody is told but the log.
    zone
        Of quiet hours and of times in texts.
    send_traps
        Sends each alert on its own.
    """

    def __init__(
        self,
        send: Send | None,
        zone: tzinfo,
        most_an_hour: int,
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
        send_traps: SendTraps | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._send, self._zone, self._most = send, zone, most_an_hour
        self._pauses, self._send_traps = pauses_seconds, send_traps
        self._lines: queue.Queue[Notice | None] = queue.Queue(MOST_WAITING)
        self._sent_at: deque[float] = deque()
        self._unsaid = 0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def tell(self, rule: Rule, alert: Alert) -> None:
        """Take an alert that begins or ends."""
        over = alert.ended is not None
        logger.warning(
            "%s: %s", "alert is over" if over else f"{alert.severity} alert", alert.sentence
        )
        self.tell_by_message(rule, alert)

    def tell_by_message(self, rule: Rule, alert: Alert) -> None:
        """Take an alert that begins or ends, without a line in the log."""
        over = alert.ended is not None
        at = alert.began if alert.ended is None else alert.ended
        local = datetime.fromtimestamp(at, self._zone)
        if (self._send is None and self._send_traps is None) or rule.is_quiet(local):
            return
        word = "Over" if over else _WORDS[alert.severity]
        said = f"  {rule.text}" if rule.text and not over else ""
        try:
            text = f"{local:%H:%M:%S} {word}: {alert.sentence}{said}"
            self._lines.put_nowait(Notice(text, alert.severity, over))
        except queue.Full:
            self.counts["dropped"] += 1
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="alert messages", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Send what waits, once, and end."""
        if self._thread is None:
            return
        self._stopping.set()
        self._lines.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            first = self._lines.get()
            lines = [] if first is None else [first]
            if first is not None:
                self._stopping.wait(GATHER_SECONDS)
            while not self._lines.empty():
                line = self._lines.get_nowait()
                if line is not None:
                    lines.append(line)
            if lines:
                self._say(lines)
            if self._stopping.is_set() and self._lines.empty():
                return

    def _say(self, notices: Sequence[Notice]) -> None:
        now, lines = time.monotonic(), [notice.text for notice in notices]
        while self._sent_at and self._sent_at[0] <= now - HOUR_SECONDS:
            self._sent_at.popleft()
        if len(self._sent_at) >= self._most:
            self._unsaid += len(lines)
            self.counts["dropped"] += 1
            return
        self._sent_at.append(now)
        self._trap(notices)
        if self._send is None:
            return
        shown, more = lines[:MOST_LINES], len(lines) - MOST_LINES
        text = "\n".join(shown)
        if more > 0:
            text += f"\nand {more} more"
        if self._unsaid:
            text += f"\n{self._unsaid} earlier ones were not sent, for there were too many messages"
        if self._deliver(_title(lines), text):
            self._unsaid = 0

    def _trap(self, notices: Sequence[Notice]) -> None:
        """Send traps, once: nobody answers them."""
        if self._send_traps is None:
            return
        try:
            self._send_traps(notices[:MOST_LINES])
            self.counts["traps"] += len(notices[:MOST_LINES])
        # Whatever the library raises must not end the thread.
        except Exception as error:
            self.counts["failed"] += 1
            logger.warning("traps of alerts could not be sent: %s", type(error).__name__)

    def _deliver(self, title: str, text: str) -> bool:
        if self._send is None:
            return False
        for pause in (*self._pauses, None):
            try:
                if self._send(title, text):
                    self.counts["sent"] += 1
                    return True
            # Whatever a service or its library raises must not end the thread.
            except Exception as error:
                logger.warning("a message of alerts failed: %s", type(error).__name__)
            if pause is None or self._stopping.wait(pause):
                break
        self.counts["failed"] += 1
        logger.warning("a message of alerts could not be sent: %s", title)
        return False


def _title(lines: Sequence[str]) -> str:
    first = lines[0].partition(" ")[2]
    return f"{first[:100]}{f' and {len(lines) - 1} more' if len(lines) > 1 else ''}"


class SeveralSenders:
    """Sends by several ways; with another try only by those that have not taken the message."""

    def __init__(self, senders: Sequence[Send]) -> None:
        self._senders = senders
        self._message = ("", "")
        self._done: set[int] = set()

    def __call__(self, title: str, text: str) -> bool:
        """Send to all; return whether all took it."""
        if (title, text) != self._message:
            self._message, self._done = (title, text), set()
        for number, send in enumerate(self._senders):
            try:
                if number not in self._done and send(title, text):
                    self._done.add(number)
            except ApplianceError as error:
                logger.warning("a message of alerts failed: %s", error)
            # Whatever one way raises, the others are tried.
            except Exception as error:
                logger.warning("a message of alerts failed: %s", type(error).__name__)
        if is_done := len(self._done) == len(self._senders):
            # The same words again are another message.
            self._message, self._done = ("", ""), set()
        return is_done


def message_sender(addresses: Sequence[str], settings: Settings) -> Send | None:
    """Return what sends to all addresses but those of traps; None without any."""
    by_account = account_sender(plain_recipients(addresses), settings)
    senders = [one for one in (apprise_sender(addresses), by_account) if one is not None]
    return SeveralSenders(senders) if senders else None


def apprise_sender(addresses: Sequence[str]) -> Send | None:
    """Return what sends to addresses as apprise has them; None without any."""
    addresses = [
        address
        for address in addresses
        if not is_trap_address(address) and plain_recipient(address) is None
    ]
    if not addresses:
        return None

    def send(title: str, text: str) -> bool:
        # Its library takes a third of a second, which nobody waits for before there is an alert.
        import apprise

        services = apprise.Apprise()
        for number, address in enumerate(addresses, 1):
            if not services.add(address):
                logger.warning("alerts.send_to: address %d is not understood", number)
        return bool(services.notify(text, title, body_format=apprise.NotifyFormat.TEXT))

    return send
