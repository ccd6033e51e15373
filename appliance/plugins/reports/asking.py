"""One report, as routes and commands ask for it: of a kind, or by name, kept or made anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from email.message import EmailMessage
from typing import Any

from appliance import ApplianceError, Settings
from appliance.errors import QueryError
from appliance.mail import MAIL_SERVER, Refusal, mail_server, send_message
from appliance.plugins.reports.mails import Envelope, report_mail
from appliance.plugins.reports.making import ReportMaker, conditions_of
from appliance.plugins.reports.named_reports import MAX_RECIPIENTS, NamedReport, ReportError
from appliance.plugins.reports.periods import period_from_text
from appliance.plugins.reports.report_settings import CUSTOMERS
from appliance.plugins.reports.report_store import report_store
from appliance.plugins.reports.sending import site_name
from appliance.query.engine import QueryEngine
from appliance.settings.mail_addresses import is_mail_address
from appliance.web.times import local_zone

Source = tuple[QueryEngine, tzinfo, float]
"""What is asked, the zone of days, and what time it is, seconds UTC."""

_NOBODY = "nobody@example.com"


def kind_report(settings: Settings, kind: str, day: str, source: Source) -> dict[str, Any]:
    """Return the report on a day, week or month.

    Raises
    ------
    PeriodError
        There is no such period.
    QueryError, StorageError
        See `ReportMaker.make`.
    """
    engine, zone, now = source
    period = period_from_text(kind, day, now, zone)
    return ReportMaker(settings, zone, now, engine).make(period)


def named_report(
    settings: Settings, report: NamedReport, day: str, source: Source, *, anew: bool = False
) -> dict[str, Any]:
    """Return a named report, as it was kept, or made now where it was not.

    Parameters
    ----------
    day
        In the period; empty for the last one that is over.
    anew
        Do not look at what was kept.

    Raises
    ------
    PeriodError
        There is no such period.
    QueryError, StorageError
        See `ReportMaker.make`.
    """
    engine, default, now = source
    zone = report.zone_of(default)
    period = period_from_text(report.kind, day, now, zone)
    content = None if anew else report_store(settings).kept(report.name, period.since)
    if content is not None:
        return content
    return ReportMaker(settings, zone, now, engine, report.contents).make(period)


def check_report(report: NamedReport, settings: Settings) -> None:
    """Check what a report says against the settings.

    Raises
    ------
    ReportError
        Its filter is not understood, or it names a customer that there is not.
    """
    known = settings[CUSTOMERS.name]
    if strange := [name for name in report.customers if name not in known]:
        expected = ", ".join(known) or "none, reports.customers is empty"
        raise ReportError(f"customers: no {strange[0]!r}, expected {expected}")
    try:
        if report.filter:
            conditions_of(report.filter, settings)
    except QueryError as error:
        raise ReportError(f"filter: {error}") from None


def checked_recipients(addresses: Sequence[str]) -> tuple[str, ...]:
    """Return addresses that a mail can go to, each once.

    Raises
    ------
    ReportError
        One is none, or they are too many.
    """
    if len(addresses) > MAX_RECIPIENTS:
        raise ReportError(f"at most {MAX_RECIPIENTS} recipients")
    for address in addresses:
        if not is_mail_address(address):
            raise ReportError(f"{address[:80]!r} is no address such as noc@example.com")
    return tuple(dict.fromkeys(addresses))


def mail_of(
    settings: Settings,
    report: NamedReport,
    content: Mapping[str, Any],
    to: Sequence[str],
    *,
    is_dry: bool = False,
) -> tuple[EmailMessage, Callable[[], Mapping[str, Refusal]]]:
    """Return the mail of a report, and a function that hands it over.

    Parameters
    ----------
    is_dry
        It is only looked at: `mail.server` need not be set.

    Raises
    ------
    MailError
        `mail.server` is not set or not understood.
    """
    if not is_dry and not to:
        raise ApplianceError(f"{report.name} has no recipients")
    server = mail_server(settings) if settings[MAIL_SERVER] or not is_dry else None
    sender = server.sender if server else _NOBODY
    envelope = Envelope(sender, to or (_NOBODY,), site_name(settings), time.time())
    zone = report.zone_of(local_zone(settings["timezone"]))
    message = report_mail(content, envelope, zone)

    def hand_over() -> Mapping[str, Refusal]:
        return send_message(server or mail_server(settings), message, to)

    return message, hand_over
