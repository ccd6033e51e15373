"""Lines of `appliance check` and notes of commands: can what is to be sent be sent?"""

from __future__ import annotations

from appliance import FAIL, OK, Finding, Settings
from appliance.mail import MAIL_SERVER, MailError, mail_server
from appliance.plugins.reports.named_reports import NamedReport
from appliance.plugins.reports.report_store import GIVEN_UP, report_store

WHAT = "reports"


def mail_findings(settings: Settings) -> list[Finding]:
    """Return a line for what is sent, and one for each report that was not; asks no server."""
    store = report_store(settings)
    mailed = [one for one, _ in store.reports().values() if one.is_on and one.to]
    findings = []
    if mailed:
        problem = mail_problem(settings, mailed[0])
        text = problem or f"{len(mailed)} go by mail"
        findings.append(Finding(FAIL if problem else OK, WHAT, text))
    for delivery in store.deliveries().values():
        if delivery.state == GIVEN_UP:
            text = f"{delivery.report} was not sent: {delivery.problem or 'the next one was due'}"
            findings.append(Finding(FAIL, WHAT, text))
    return findings


def mail_problem(settings: Settings, report: NamedReport) -> str:
    """Return why a report cannot be sent; empty where it has no recipients or nothing is amiss."""
    if not (report.to and report.is_on):
        return ""
    if not settings[MAIL_SERVER]:
        return f"{report.name} is to be sent, and {MAIL_SERVER} is not set"
    try:
        mail_server(settings)
    except MailError as error:
        return str(error)
    return ""
