"""Invented exporters at work: shares out flows, writes their datagrams, and keeps the true sums.

The sums are what a test compares a collector with: they are taken from the columns before anything
is encoded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.traffic.generator.messages import Datagrams, Writer, writer_for
from appliance.traffic.generator.profiles import ExporterProfile
from appliance.traffic.generator.traffic import Traffic

REFRESH_MS = 60_000
"""Templates and options are told again after so long."""

BLOCK_FLOWS = 16_384
"""Most flows of one block: its columns stay in the processor's cache."""

UPTIME_MS = 86_400_000
"""How long the exporters have been up when they begin."""


@dataclass(slots=True)
class Sums:
    """What flows add up to.

    Attributes
    ----------
    flows, packets, octets
        As in the records: packets and octets are those sampled.
    scaled_packets, scaled_octets
        Times the sampling rate.
    option_records
        Options data records, which are no flows.
    datagrams, datagram_octets
        UDP datagrams that carry all this, and their payload.
    """

    flows: int = 0
    packets: int = 0
    octets: int = 0
    scaled_packets: int = 0
    scaled_octets: int = 0
    option_records: int = 0
    datagrams: int = 0
    datagram_octets: int = 0

    def add(self, other: Sums) -> None:
        """Add other sums to these."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True, slots=True)
class GeneratedBlock:
    """Datagrams of one exporter.

    Attributes
    ----------
    exporter
        Index of its profile.
    octets
        uint8, shape (n, stride); row i holds datagram i in its first `lengths[i]` octets.
    lengths
        int64, shape (n,).
    sums
        What is in them.
    """

    exporter: int
    octets: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    sums: Sums = field(default_factory=Sums)


class Generator:
    """Some exporters with their hosts, sequence numbers and clocks.

    The same profiles, seed and calls with the same times give the same octets.
    """

    def __init__(
        self, profiles: Sequence[ExporterProfile], *, seed: int = 0, start_ms: int | None = None
    ) -> None:
        """Prepare the exporters; they have been up for a day at `start_ms` (default: now)."""
        if start_ms is None:
            start_ms = time.time_ns() // 1_000_000
        self.profiles = tuple(profiles)
        boot_ms = start_ms // 1000 * 1000 - UPTIME_MS
        seeds = np.random.SeedSequence(seed).spawn(len(self.profiles))
        self._exporters = [
            _Exporter(profile, number, boot_ms, np.random.default_rng(own))
            for number, (profile, own) in enumerate(zip(self.profiles, seeds, strict=True))
        ]
        weights = np.array([profile.weight for profile in self.profiles], np.float64)
        self._shares = weights / weights.sum()
        self._given = np.zeros(len(self.profiles), np.int64)

    def datagrams(self, n_flows: int, now_ms: int | None = None) -> Iterator[GeneratedBlock]:
        """Yield datagrams with exactly so many flows, templates and options when they are due.

        Parameters
        ----------
        now_ms
            Time of export, milliseconds UTC (default: now); it must not go back.
        """
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        while n_flows > 0:
            n = min(n_flows, BLOCK_FLOWS * len(self._exporters))
            for number, flows in enumerate(self._share_out(n)):
                for datagrams, sums in self._exporters[number].work(int(flows), now_ms):
                    yield GeneratedBlock(number, datagrams.octets, datagrams.lengths, sums)
            n_flows -= n

    def _share_out(self, n: int) -> NDArray[np.int64]:
        """Split n flows by weight; over many calls every exporter gets its share."""
        wanted = self._shares * (int(self._given.sum()) + n) - self._given
        shares = np.maximum(np.floor(wanted), 0).astype(np.int64)
        while (missing := n - int(shares.sum())) != 0:
            step = 1 if missing > 0 else -1
            order = np.argsort(-step * (wanted - shares), kind="stable")
            order = order if step > 0 else order[shares[order] > 0]
            shares[order[: abs(missing)]] += step
        self._given += shares
        given: NDArray[np.int64] = shares
        return given


class _Exporter:
    """One exporter: its traffic, its writer, and when it last told its templates."""

    def __init__(
        self, profile: ExporterProfile, number: int, boot_ms: int, rng: np.random.Generator
    ) -> None:
        self._profile = profile
        self._traffic = Traffic(profile, number, rng)
        self._writer: Writer = writer_for(profile, boot_ms)
        self._refresh_ms = 0
        self._v6_due = 0.0

    def work(self, n: int, now_ms: int) -> Iterator[tuple[Datagrams, Sums]]:
        """Yield announcements when they are due, then n flows."""
        # Whole seconds: v5 and v9 headers give flow times relative to both of their clocks.
        export_ms = now_ms // 1000 * 1000
        if export_ms >= self._refresh_ms:
            self._refresh_ms = export_ms + REFRESH_MS
            told = self._writer.announcements(export_ms)
            if told is not None:
                yield told, _sums(told)
        self._v6_due += n * self._profile.ipv6_share
        n_v6 = min(int(self._v6_due), n)
        self._v6_due -= n_v6
        for version, count in ((4, n - n_v6), (6, n_v6)):
            if count:
                yield self._flows(count, version, export_ms)

    def _flows(self, n: int, version: int, export_ms: int) -> tuple[Datagrams, Sums]:
        columns = self._traffic.flows(n, version, export_ms)
        datagrams = self._writer.flows(columns, n, version, export_ms)
        sums = _sums(datagrams)
        sums.flows = n
        sums.packets = int(columns["packets"].sum(dtype=np.int64))
        sums.octets = int(columns["octets"].sum(dtype=np.int64))
        sums.scaled_packets = sums.packets * self._profile.sampling
        sums.scaled_octets = sums.octets * self._profile.sampling
        return datagrams, sums


def _sums(datagrams: Datagrams) -> Sums:
    return Sums(
        option_records=datagrams.option_records,
        datagrams=len(datagrams.lengths),
        datagram_octets=int(datagrams.lengths.sum()),
    )
