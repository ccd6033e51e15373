"""From the settings to what decoders need of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from appliance.decoding.results import DecodeOptions, Exporter, ExporterTrust
from appliance.errors import SettingsError
from appliance.flows import RawElement, address_halves, address_text
from appliance.nfacctd.active_config import active_config
from appliance.nfacctd.primitives import read_primitives
from appliance.setting_types import Network
from appliance.settings import Settings

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
        raw_elements=raw_elements(settings),
        header_columns=_header_columns(settings),
        trust_exporter_address=ExporterTrust(settings["collector.trust_exporter_address"]),
        v5_uptime_unit_ms=1000 if settings["collector.netflow_v5_seconds"] else 1,
    )


def raw_elements(settings: Settings) -> tuple[RawElement, ...]:
    """Return the elements that are kept with their octets: those that an
    aggregate_primitives file names, and those that a table of pmacct needs."""
    file: Path | None = settings["collector.primitives_file"]
    named = read_primitives(file).elements if file is not None else ()
    kept: tuple[RawElement, ...] = ()
    with suppress(SettingsError):
        config = active_config(settings)
        kept = config.kept_elements if config is not None else ()
    return tuple(dict.fromkeys((*named, *kept)))


def _header_columns(settings: Settings) -> tuple[str, ...]:
    """Return the columns of message headers that a table of pmacct needs."""
    with suppress(SettingsError):
        config = active_config(settings)
        return config.header_columns if config is not None else ()
    return ()
