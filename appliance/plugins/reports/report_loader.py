"""What makes and sends reports in the loader's process: it follows no flows, and only begins the
sender.
"""

from __future__ import annotations

import sys

from appliance import Cursor, LoadReport
from appliance.plugins.reports.sending import ReportSender


class ReportLoader:
    """Runs a sender beside what fills stores."""

    name = "reports"

    def __init__(self, sender: ReportSender) -> None:
        self._sender = sender

    def load_once(self, now: float) -> LoadReport:
        """Begin the sender; it works in a thread of its own, so that loading never waits."""
        self._sender.start()
        return LoadReport()

    def finish(self, now: float) -> list[str]:
        """End the sender; what it has not done the next process does."""
        self._sender.stop()
        return []

    def cursor(self) -> tuple[int, int] | None:
        """Return a place behind every flow: reports keep none from expiry."""
        return Cursor(sys.maxsize, 0)

    def expire(self, now: float) -> int:
        """Delete nothing: what is kept is bounded when it is written."""
        return 0
