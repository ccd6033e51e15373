"""A line of `appliance check` for each target of replication."""

from __future__ import annotations

import socket
from contextlib import suppress

from appliance import FAIL, HINT, OK, Finding, Settings
from appliance.plugins.replicate.figures import fresh_figures
from appliance.plugins.replicate.local_targets import is_received_here
from appliance.plugins.replicate.original_source import open_raw_socket
from appliance.plugins.replicate.replicate_settings import KEEP_SOURCE, TARGETS
from appliance.plugins.replicate.replicator import loop_text
from appliance.settings.file import BUILT_IN
from appliance.settings.types import ListenAddress

WHAT = "replication"


class ReplicationCheck:
    """Looks at targets; sends nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def findings(self) -> list[Finding]:
        """Return a line for each target."""
        settings = self._settings
        engine = settings["collector.engine"]
        if engine != BUILT_IN:
            text = f"{engine} receives, so nothing is replicated: use what {engine} has for that"
            return [Finding(HINT, WHAT, text)]
        figures = fresh_figures(settings["data_directory"])
        return [
            self._finding(target.to, figures.get(str(target.to))) for target in settings[TARGETS]
        ]

    def _finding(self, target: ListenAddress, counts: dict[str, int] | None) -> Finding:
        if is_received_here(target, self._settings["collector.listen"]):
            return Finding(FAIL, WHAT, loop_text(target))
        if problem := _route_problem(target):
            return Finding(
                HINT, WHAT, f"{target}: {problem}; what is received meanwhile is not sent"
            )
        if not self._settings[KEEP_SOURCE]:
            text = f"{target} gets copies from this machine's address (replicate.keep_source)"
            return Finding(OK, WHAT, text)
        if counts is not None:
            keeps, who = bool(counts.get("keeps_source")), "the collector"
        else:
            keeps, who = _may_send_raw(target), "this user"
        if keeps:
            version = 6 if ":" in target.host else 4
            text = f"{target} gets copies from exporters' addresses, those of IPv{version}"
            return Finding(OK, WHAT, text)
        text = (
            f"{target} gets copies from this machine's address, for {who} has no CAP_NET_RAW: "
            "grant it, or set replicate.keep_source to false where that is meant"
        )
        return Finding(HINT, WHAT, text)


def _route_problem(target: ListenAddress) -> str:
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target.host, target.port))
    except OSError as error:
        return str(error.strerror).lower()
    return ""


def _may_send_raw(target: ListenAddress) -> bool:
    with suppress(OSError), open_raw_socket(target):
        return True
    return False
