"""Named reports as routes and commands list them: what they are, when the next one is due, how the
last one went.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from appliance.plugins.reports.named_reports import NamedReport
from appliance.plugins.reports.periods import period_text
from appliance.plugins.reports.report_store import Delivery, ReportStore
from appliance.web.times import rfc3339


def report_states(store: ReportStore, zone: tzinfo, now: float) -> list[dict[str, Any]]:
    """Return every named report with its state.

    Raises
    ------
    StorageError
        The store cannot be read.
    """
    deliveries = store.deliveries()
    return [
        report_state(report, deliveries.get(name), zone, now)
        for name, (report, _) in store.reports().items()
    ]


def report_state(
    report: NamedReport, delivery: Delivery | None, zone: tzinfo, now: float
) -> dict[str, Any]:
    """Return one named report with its state.

    Parameters
    ----------
    delivery
        The newest; None: there was none yet.
    zone
        Of times.
    """
    due = rfc3339(report.next_due_at(now, zone), zone) if report.is_on else None
    last = None
    if delivery is not None:
        last = {
            "period": period_text(delivery.period, report.zone_of(zone)),
            "state": delivery.state,
            "tries": delivery.tries,
            "pending": list(delivery.pending),
            "problem": delivery.problem,
            "next_try": rfc3339(delivery.next_at, zone) if delivery.state == "waiting" else None,
        }
    return {**report.as_dict(), "sentence": report.sentence, "next": due, "last": last}
