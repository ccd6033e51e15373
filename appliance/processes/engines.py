"""What collects: our own receiver, an engine of a plugin with a feed of its tables, or a feed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from appliance.collector.parts import CollectorParts
from appliance.contracts import Daemon, FeedOrder, FlowFeed
from appliance.errors import SettingsError
from appliance.settings.types import ListenAddress

OpenFeed = Callable[[FeedOrder], FlowFeed]
"""Opens a feed of tables that somebody else fills.

It raises SettingsError when no plugin reads them.
"""


class FlowLogFiller(Protocol):
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


def filler_of(
    parts: CollectorParts,
    open_feed: OpenFeed,
    listen: Sequence[ListenAddress] = (),
    order: FeedOrder | None = None,
) -> FlowLogFiller:
    """Return what is configured to fill the flow log, not started.

    Parameters
    ----------
    listen
        Addresses from the command line, before those of the settings.
    order
        A table that somebody else fills, in place of receiving.

    Raises
    ------
    SettingsError
        The configuration does not fit the engine.
    """
    if order is not None:
        return _make_feed_collector(parts, open_feed(order))
    engine = parts.engines.get(parts.settings["collector.engine"])
    if engine is None:
        return _make_receiver(parts, listen)
    if listen:
        raise SettingsError(f"{engine.name} listens where its configuration says", key="--listen")
    return _make_feed_collector(parts, engine.feed(), engine.daemon())


def _make_receiver(parts: CollectorParts, listen: Sequence[ListenAddress]) -> FlowLogFiller:
    # It and the other bring large modules: a process has those of one.
    from appliance.collector.service import Collector

    return Collector(parts, tuple(listen) or None)


def _make_feed_collector(
    parts: CollectorParts, feed: FlowFeed, daemon: Daemon | None = None
) -> FlowLogFiller:
    from appliance.collector.feeding import FeedCollector

    return FeedCollector(parts, feed, daemon)
