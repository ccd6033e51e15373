"""The whole appliance at work: flows sent to it all the time, and the store that it fills."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from appliance.app import open_app
from appliance.contracts import FlowStore, Selection
from appliance.flowlog import FlowSearch
from appliance.traffic.generator import ExporterProfile, Generator, Order, Transmission
from tests.asking import totals
from tests.collector.running import RunningCollector


@contextmanager
def sending(
    running: RunningCollector, exporters: Sequence[ExporterProfile], rate: int
) -> Iterator[Transmission]:
    """Send flows from beginning to end, so many a second."""
    transmission = Transmission(Generator(exporters), running.target, Order(rate=rate))
    sender = threading.Thread(target=transmission.run)
    sender.start()
    try:
        # Templates have to be known first: what waits for one has no number of records.
        running.wait_for("datagrams", 100)
        yield transmission
    finally:
        transmission.stop()
        sender.join()


@contextmanager
def opened_store(running: RunningCollector) -> Iterator[FlowStore]:
    """Open the store that a running appliance fills, as a second reader of it."""
    app = open_app(running.conf)
    assert app.stores is not None
    url = app.settings["flows.database"]
    store: FlowStore = app.stores[url.partition(":")[0]](url, app.settings)
    try:
        yield store
    finally:
        store.close()


def assert_rollups_equal_the_log(running: RunningCollector) -> None:
    """Load what is left of the log of an appliance that has stopped, and compare the sums."""
    log = totals(FlowSearch(running.data / "flowlog"))
    assert log.flows > 0
    with opened_store(running) as store:
        while store.load_once(time.time()).rows:
            pass
        sums = store.totals(Selection())
    assert (sums.flows, sums.packets, sums.octets) == (log.flows, log.packets, log.octets)
