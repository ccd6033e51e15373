"""Mails of reports: HTML with its picture, the same as plain text, and CSV files.

The same report has the same Message-ID each time: a mail that was sent twice, as a process ended
between sending and noting it, is one to the programs that compare them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, NamedTuple

from appliance.plugins.reports.contents import TRAFFIC
from appliance.plugins.reports.mail_pages import PICTURE, mail_page
from appliance.plugins.reports.showing import report_csv, report_text, tops_csv, traffic_csv

_UNSAFE = re.compile(r"[^\w.-]+")


class Envelope(NamedTuple):
    """From and to whom, and when.

    Attributes
    ----------
    site
        What the appliance is called.
    at
        Of the header Date, seconds UTC.
    """

    sender: str
    to: Sequence[str]
    site: str
    at: float


def report_mail(report: Mapping[str, Any], envelope: Envelope, zone: tzinfo) -> EmailMessage:
    """Return the mail of a report.

    Parameters
    ----------
    zone
        Of the header Date and of the picture.
    """
    report = dict(report)
    title = f"{report['name']}, {report['period']}"
    message = EmailMessage()
    message["Subject"] = f"{envelope.site}: {title}"
    message["From"] = Address(envelope.site, addr_spec=envelope.sender)
    message["To"] = ", ".join(envelope.to)
    message["Date"] = format_datetime(datetime.fromtimestamp(envelope.at, zone))
    message["Message-ID"] = message_id(report, envelope)
    # RFC 3834 section 5: nobody answers it by a machine, such as of holidays.
    message["Auto-Submitted"] = "auto-generated"
    has_picture = TRAFFIC in report["sections"] and report["series"]["maximum"] is not None
    message.set_content(report_text(report))
    page = mail_page(report, title, envelope.site, has_picture=has_picture)
    message.add_alternative(page, subtype="html")
    html = message.get_body(("html",))
    if has_picture and html is not None:
        _add_picture(html, report, zone)
    stem = _UNSAFE.sub("-", f"{envelope.site}-{title}").strip("-.")
    for kind, text in _csv_files(report).items():
        message.add_attachment(text, subtype="csv", filename=f"{stem}-{kind}.csv")
    return message


def _add_picture(page: Any, report: dict[str, Any], zone: tzinfo) -> None:
    # Its library takes a while, which only mails need.
    from appliance.plugins.reports.pictures import chart_of, chart_png

    picture = chart_png(chart_of(report), zone)
    page.add_related(
        picture, "image", "png", cid=f"<{PICTURE}>", disposition="inline", filename="traffic.png"
    )


def _csv_files(report: dict[str, Any]) -> dict[str, str]:
    files = {"traffic": traffic_csv(report)} if TRAFFIC in report["sections"] else {}
    if report["billing"]:
        files["billing"] = report_csv(report)
    if any(top["rows"] for top in report["tops"]):
        files["top"] = tops_csv(report)
    return files


def message_id(report: Mapping[str, Any], envelope: Envelope) -> str:
    """Return the Message-ID of a report to these recipients."""
    facts = "\0".join((envelope.site, report["name"], report["since"], *sorted(envelope.to)))
    digest = hashlib.sha256(facts.encode()).hexdigest()[:32]
    return f"<report.{digest}@{envelope.sender.rpartition('@')[2]}>"
