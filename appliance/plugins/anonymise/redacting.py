"""The redactor: finds everything in a batch that could tell an address, and replaces it.

Addresses in columns and in columns of raw octets are replaced. What cannot be looked into (sampled
frames, unknown elements) is emptied, and so are MAC addresses, which name a machine as well.
Exporters keep their addresses.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from appliance import Column, FlowBatch
from appliance.flows import COLUMNS, V4_MAPPED, AnyArray, constant, element_of, is_constant
from appliance.flows import plugin_columns as columns_of_plugins
from appliance.information_elements import element_by_id
from appliance.plugins.anonymise.address_map import AddressMap

KEPT_ADDRESSES = ("exporter_address",)
V4_TYPE, V6_TYPE = "ipv4Address", "ipv6Address"

_TELL_NOTHING = ("unsigned", "signed", "float", "boolean", "dateTime")
"""How types begin whose values are no addresses (RFC 7012 section 3.1)."""

ADDRESSES = tuple(
    name
    for column in COLUMNS
    if column.name.endswith("_hi")
    and (name := column.name.removesuffix("_hi")) not in KEPT_ADDRESSES
)
MAC_ADDRESSES = tuple(column.name for column in COLUMNS if column.name.endswith("_mac_address"))


class AddressRedactor:
    """Replaces addresses in batches; see `Redactor`."""

    def __init__(self, addresses: AddressMap) -> None:
        self._addresses = addresses
        self._numbers = tuple(number_columns(columns_of_plugins()))

    def __call__(self, batch: FlowBatch) -> FlowBatch:
        """Return the batch without the addresses that are to be replaced."""
        columns = {
            name: column for name, column in batch.columns.items() if name not in MAC_ADDRESSES
        }
        for name in ADDRESSES:
            if f"{name}_lo" in columns or f"{name}_hi" in columns:
                halves = batch.column(f"{name}_hi"), batch.column(f"{name}_lo")
                columns[f"{name}_hi"], columns[f"{name}_lo"] = self._replaced(*halves)
        for name in self._numbers:
            if name in columns:
                columns[name] = self._replaced_numbers(columns[name])
        octets = {name: self._octets(name, values) for name, values in batch.octets.items()}
        return FlowBatch(
            batch.n_records, columns, octets, batch.options, batch.datagrams, batch.origin
        )

    def _replaced(self, hi: AnyArray, lo: AnyArray) -> tuple[AnyArray, AnyArray]:
        if is_constant(hi) and is_constant(lo):
            new = self._addresses.replace(hi[:1], lo[:1])
            return constant(new[0], len(hi)), constant(new[1], len(lo))
        return self._addresses.replace(hi, lo)

    def _replaced_numbers(self, numbers: AnyArray) -> AnyArray:
        """Return IPv4 addresses that are numbers; 0 is none."""
        lo = numbers.astype(np.uint64) & np.uint64(0xFFFF_FFFF) | np.uint64(V4_MAPPED)
        _, new = self._addresses.replace(np.zeros_like(lo), lo)
        return (new & np.uint64(0xFFFF_FFFF)).astype(numbers.dtype)

    def _octets(self, name: str, values: AnyArray) -> AnyArray:
        element = element_of(name)
        known = element_by_id(*element) if element is not None else None
        kind = known.data_type if known is not None else ""
        if kind.startswith(_TELL_NOTHING):
            return values
        n_octets = {V4_TYPE: 4, V6_TYPE: 16}.get(kind)
        if n_octets is None or values.dtype.kind != "V" or values.dtype.itemsize != n_octets:
            empty = np.empty(len(values), object)
            empty[:] = b""
            return empty
        return self._replaced_octets(values, n_octets)

    def _replaced_octets(self, values: AnyArray, n_octets: int) -> AnyArray:
        """Return addresses that are octets, of one length."""
        octets = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), n_octets)
        if n_octets == 4:
            lo = octets.copy().view(">u4")[:, 0].astype(np.uint64) | np.uint64(V4_MAPPED)
            _, new = self._addresses.replace(np.zeros_like(lo), lo)
            return new.astype(">u4").view("V4")
        halves = octets.copy().view(">u8").astype(np.uint64)
        replaced = np.stack(self._addresses.replace(halves[:, 0], halves[:, 1]), axis=1)
        return replaced.astype(">u8").view("V16").reshape(-1)


def number_columns(columns: Iterable[Column]) -> Iterable[str]:
    """Yield the columns of plugins that hold IPv4 addresses as numbers."""
    for column in columns:
        elements = [*((0, element) for element in column.elements), *column.enterprise_elements]
        kinds = {known.data_type for pair in elements if (known := element_by_id(*pair))}
        if V4_TYPE in kinds and column.dtype.kind in "ui" and column.dtype.itemsize >= 4:
            yield column.name
