"""What replacing addresses costs, next to decoding."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from appliance.flows import FlowBatch
from appliance.plugins.anonymise.address_map import AddressMap
from appliance.plugins.anonymise.anonymise_settings import EVERYTHING
from appliance.plugins.anonymise.crypto_pan import CryptoPan
from appliance.plugins.anonymise.redacting import AddressRedactor
from appliance.traffic.generator import PROTOCOLS
from tests.benchmarks.decode import measure as decoding_rate
from tests.benchmarks.enriching import SEED, decoded, strangers

PART_SECONDS = 2.0


def anonymising() -> dict[str, Any]:
    """Return nanoseconds a flow of decoding, and of replacing all addresses."""
    report: dict[str, Any] = {}
    for name in PROTOCOLS:
        before = 1e9 / decoding_rate(name, PART_SECONDS)["flows_per_cpu_second"]
        report[name] = {"before_ns": before, "anonymising_ns": cost_ns(decoded(name))}
    report["random IPv4 addresses"] = {"anonymising_ns": cost_ns([strangers()], new=True)}
    report["random IPv6 addresses"] = {"anonymising_ns": cost_ns([of_ipv6()], new=True)}
    return report


def of_ipv6(n: int = 10_000) -> FlowBatch:
    """Return flows of IPv6 addresses that have nothing in common."""
    rng = np.random.default_rng(SEED)
    names = [
        f"{side}_address_{half}" for side in ("source", "destination") for half in ("hi", "lo")
    ]
    return FlowBatch(n, {name: rng.integers(1, 1 << 63, n, np.uint64) for name in names})


def cost_ns(batches: list[FlowBatch], *, new: bool = False) -> float:
    """Return CPU nanoseconds a flow; with `new`, nothing is remembered from round to round."""
    pan = CryptoPan(bytes(range(32)))
    redactor = AddressRedactor(AddressMap(pan, EVERYTHING))
    flows, start = 0, time.process_time()
    while (taken := time.process_time() - start) < PART_SECONDS:
        for batch in batches:
            if new:
                redactor = AddressRedactor(AddressMap(pan, EVERYTHING))
            redactor(batch)
            flows += batch.n_records
    return taken / flows * 1e9
