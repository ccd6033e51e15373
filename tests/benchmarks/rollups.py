"""The whole way into roll-ups: nothing lost, how far behind the loader is, the sums at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.contracts import FlowStore, Selection
from appliance.errors import StorageError
from tests.benchmarks.collectors import Appliance, Nfcapd
from tests.benchmarks.history import open_store
from tests.benchmarks.whole import measure

LAG_GOAL_SECONDS = 10.0
WATCH_SECONDS = 5.0
SETTLE_SECONDS = 180.0
_POLL_SECONDS = 0.25


def rollups(folder: Path, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
    """Send the same to both, one after the other; return what each made of it."""
    subject = Appliance(folder / "ours", rollups=True)
    watch = LoaderWatch(subject)
    with watch.watching():
        ours = measure(subject, protocol, rate, seconds, watch.settle)
    ours["lag_largest_seconds"] = max(watch.lags, default=0.0)
    ours |= in_rollups(subject.folder / "conf")
    sums = ("flows", "packets", "octets")
    ours["agree"] = ours["flows"] == ours["sent_flows"] and all(
        ours[f"rollup_{name}"] == ours[f"sent_scaled_{name}"] for name in sums
    )
    report: dict[str, Any] = {"appliance": ours}
    if Nfcapd.available():
        report["nfcapd"] = theirs = measure(Nfcapd(folder / "nfcapd"), protocol, rate, seconds)
        report["ratio_flows_per_cpu_second"] = (
            ours["flows_per_cpu_second"] / theirs["flows_per_cpu_second"]
        )
    return report


def in_rollups(conf: Path) -> dict[str, int]:
    """Return what the store has at the end."""
    store = open_store(conf)
    totals = store.totals(Selection())
    size = int(store.health()["octets"])
    store.close()
    return {f"rollup_{name}": n for name, n in totals._asdict().items()} | {"database_octets": size}


class LoaderWatch:
    """Asks the store of a running appliance how far it is.

    Attributes
    ----------
    lags
        Seconds, one every few seconds while flows come in.
    """

    def __init__(self, subject: Appliance) -> None:
        self.subject = subject
        self.lags: list[float] = []
        self._act = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note the lag now and then while the body runs, until `settle` is called."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._act.set()
            thread.join()

    def settle(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Wait until every flow sent is in the roll-ups and nothing waits; return how long."""
        began = time.monotonic()
        self._act.set()
        store = open_store(self.subject.folder / "conf")
        lag = first = _lag(store)
        stored = store.totals(Selection()).flows
        while (took := time.monotonic() - began) < SETTLE_SECONDS:
            lag, stored = _lag(store), store.totals(Selection()).flows
            if not lag and stored >= sent["flows"]:
                break
            time.sleep(_POLL_SECONDS)
        store.close()
        return {
            "sent_scaled_flows": sent["flows"],
            "sent_scaled_packets": sent["scaled_packets"],
            "sent_scaled_octets": sent["scaled_octets"],
            "lag_at_end_seconds": first,
            "lag_zero_after_seconds": took,
            "lag_left_seconds": lag,
            "rollup_flows_before_stop": stored,
        }

    def _watch(self) -> None:
        store: FlowStore | None = None
        while not self._act.wait(WATCH_SECONDS):
            if store is None and (self.subject.folder / "data" / "flows.sqlite").exists():
                store = open_store(self.subject.folder / "conf")
            if store is not None:
                self.lags.append(_lag(store))
        if store is not None:
            store.close()


def _lag(store: FlowStore) -> float:
    try:
        return float(store.health()["lag_seconds"])
    except StorageError:  # the database is busy; it is asked again
        return -1.0
