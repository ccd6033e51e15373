"""A line of `appliance check` for each target of a stream."""

from __future__ import annotations

import os
import socket

from appliance import FAIL, HINT, OK, ApplianceError, Finding, Settings
from appliance.plugins.stream.loader import lines_of, outlet_of, problem_text
from appliance.plugins.stream.stream_settings import (
    FILE,
    SYSLOG_UDP,
    TARGETS,
    StreamAddress,
    StreamTarget,
)

WHAT = "stream"


class StreamCheck:
    """Looks whether targets are there; sends nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def findings(self) -> list[Finding]:
        """Return a line for each target."""
        return [self._finding(target) for target in self._settings[TARGETS]]

    def _finding(self, target: StreamTarget) -> Finding:
        try:
            lines_of(self._settings, target.filter, target.columns).check()
        except ApplianceError as error:
            return Finding(FAIL, WHAT, f"{target.to}: filter: {error}")
        try:
            problem = self._problem(target.to)
        except ApplianceError as error:
            return Finding(FAIL, WHAT, str(error))
        if problem:
            text = f"{target.to}: {problem}; the flow log keeps what is to be sent"
            return Finding(HINT, WHAT, text)
        if target.to.scheme == SYSLOG_UDP:
            return Finding(OK, WHAT, f"{target.to}: by UDP nobody hears whether flows arrive")
        return Finding(OK, WHAT, f"{target.to} takes flows")

    def _problem(self, to: StreamAddress) -> str:
        if to.scheme == FILE:
            return _file_problem(to)
        outlet = outlet_of(to, self._settings)
        try:
            if to.scheme == SYSLOG_UDP:
                socket.getaddrinfo(to.host, to.port, type=socket.SOCK_DGRAM)
            else:
                outlet.work(0.0)
        except OSError as error:
            return problem_text(error)
        finally:
            outlet.close()
        return ""


def _file_problem(to: StreamAddress) -> str:
    if not to.path.parent.is_dir():
        return f"there is no folder {to.path.parent}"
    place = to.path if to.path.exists() else to.path.parent
    return "" if os.access(place, os.W_OK) else f"{place} cannot be written by this user"
