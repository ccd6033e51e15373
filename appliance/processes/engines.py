"""What collects: our own receiver, nfacctd with a feed of its tables, or a feed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from appliance.app import App
from appliance.collector.feeding import FeedCollector
from appliance.collector.service import Collector
from appliance.contracts import FeedOrder, FlowFeed
from appliance.environment import FAIL, HINT, OK, Finding
from appliance.errors import ApplianceError, SettingsError
from appliance.guard import guarded
from appliance.guard.methods import FEED
from appliance.nfacctd.active_config import active_config
from appliance.processes.nfacctd_process import NfacctdProcess, nfacctd_program
from appliance.setting_types import ListenAddress
from appliance.settings import NFACCTD


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


def engine_of(app: App, listen: Sequence[ListenAddress], pmacct: FeedOrder | None) -> Engine:
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
        return FeedCollector(app, _feed(app, pmacct))
    if app.settings["collector.engine"] != NFACCTD:
        return Collector(app, tuple(listen) or None)
    if listen:
        raise SettingsError("nfacctd listens where its configuration says", key="--listen")
    feed = _feed(app, FeedOrder())
    config = active_config(app.settings)
    if config is None:
        raise SettingsError("nfacctd needs a configuration", key="collector.config")
    return FeedCollector(app, feed, NfacctdProcess(config, app.settings["data_directory"]))


def check_engine(app: App) -> list[Finding]:
    """Look at what the engine nfacctd needs, and at what its tables lack."""
    if app.settings["collector.engine"] != NFACCTD:
        return []
    try:
        program = nfacctd_program()
        feed = _feed(app, FeedOrder())
        try:
            lacks = feed.check()
        finally:
            feed.close()
    except ApplianceError as error:
        return [Finding(FAIL, "nfacctd", str(error))]
    found = Finding(OK, "nfacctd", f"{program} fills {feed.source}")
    return [found, *(Finding(HINT, "nfacctd", text) for text in lacks)]


def _feed(app: App, order: FeedOrder) -> FlowFeed:
    entry = app.first_result(
        "flow_feed_from_order", "feed", FEED.check, order=order, settings=app.settings
    )
    if entry is None:
        scheme = order.url.partition(":")[0]
        raise SettingsError(f"no plugin reads tables of {scheme}: databases", key="--pmacct")
    return cast(FlowFeed, guarded(app.guard(entry.plugin, "feed"), entry.value, FEED))
