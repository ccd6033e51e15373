"""From the settings to what decoders need of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from appliance.decoding.results import DecodeOptions, Exporter, ExporterTrust
from appliance.flows import address_halves, address_text
from appliance.settings.file import Settings
from appliance.settings.types import Network

_REMEMBERED = 65536


class RatesByNetwork(Mapping[Exporter, float]):
    """Sampling rates of exporters, set for networks; the longest prefix counts."""

    def __init__(self, networks: Mapping[Network, float]) -> None:
        self._networks = sorted(networks.items(), key=lambda item: -item[0].prefixlen)
        self._found: dict[Exporter, float | None] = {}

    def __getitem__(self, exporter: Exporter) -> float:
        if exporter not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[exporter] = self._look_up(exporter)
        rate = self._found[exporter]
        if rate is None:
            raise KeyError(exporter)
        return rate

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._networks)

    def _look_up(self, exporter: Exporter) -> float | None:
        address = ipaddress.ip_address(address_text(*exporter))
        return next((rate for network, rate in self._networks if address in network), None)


def decode_options(settings: Settings) -> DecodeOptions:
    """Collect the settings that decide what decoders make of records."""
    renamed = {
        address_halves(str(exporter)): dict(names)
        for exporter, names in settings["collector.renamed_elements"].items()
    }
    return DecodeOptions(
        default_rate=float(settings["collector.default_sampling_rate"]),
        rates=RatesByNetwork(settings["collector.sampling_overrides"]),
        renamed=renamed,
        raw_elements=settings["collector.raw_elements"],
        header_columns=settings["collector.header_columns"],
        trust_exporter_address=ExporterTrust(settings["collector.trust_exporter_address"]),
        v5_uptime_unit_ms=1000 if settings["collector.netflow_v5_seconds"] else 1,
    )
