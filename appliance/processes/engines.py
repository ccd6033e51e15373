"""What collects: our own receiver, nfacctd with a feed of its tables, or a feed alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from appliance.collector.feeding import FeedCollector
from appliance.collector.parts import CollectorParts
from appliance.collector.service import Collector
from appliance.contracts import FAIL, HINT, OK, FeedOrder, Finding, FlowFeed
from appliance.errors import ApplianceError, SettingsError
from appliance.nfacctd.active_config import active_config
from appliance.processes.nfacctd_process import NfacctdProcess, nfacctd_program
from appliance.setting_types import ListenAddress
from appliance.settings import NFACCTD, Settings

OpenFeed = Callable[[FeedOrder], FlowFeed]
"""Opens a feed of tables that somebody else fills.

It raises SettingsError when no plugin reads them.
"""


class Engine(Protocol):
    """Fills the flow log of one data directory."""

    def start(self) -> None:
        """Take the data directory over and begin."""
        ...

    def announcements(self) -> list[str]:
        """Return what to tell people once it has started."""
        ...

    def run(self) -> None:
        """Work until `stop` is called, then close everything."""
        ...

    def stop(self) -> None:
        """End `run`; safe in a signal handler."""
        ...


def engine_of(
    parts: CollectorParts,
    open_feed: OpenFeed,
    listen: Sequence[ListenAddress] = (),
    pmacct: FeedOrder | None = None,
) -> Engine:
    """Return the engine that is asked for, not started.

    Parameters
    ----------
    listen
        Addresses from the command line, before those of the settings.
    pmacct
        A table that somebody else fills, in place of receiving.

    Raises
    ------
    SettingsError
        The configuration does not fit the engine.
    """
    if pmacct is not None:
        return FeedCollector(parts, open_feed(pmacct))
    settings = parts.settings
    if settings["collector.engine"] != NFACCTD:
        return Collector(parts, tuple(listen) or None)
    if listen:
        raise SettingsError("nfacctd listens where its configuration says", key="--listen")
    feed = open_feed(FeedOrder())
    config = active_config(settings)
    if config is None:
        raise SettingsError("nfacctd needs a configuration", key="collector.config")
    return FeedCollector(parts, feed, NfacctdProcess(config, settings["data_directory"]))


def check_engine(settings: Settings, open_feed: OpenFeed) -> list[Finding]:
    """Look at what the engine nfacctd needs, and at what its tables lack."""
    if settings["collector.engine"] != NFACCTD:
        return []
    try:
        program = nfacctd_program()
        feed = open_feed(FeedOrder())
        try:
            lacks = feed.check()
        finally:
            feed.close()
    except ApplianceError as error:
        return [Finding(FAIL, "nfacctd", str(error))]
    found = Finding(OK, "nfacctd", f"{program} fills {feed.source}")
    return [found, *(Finding(HINT, "nfacctd", text) for text in lacks)]
