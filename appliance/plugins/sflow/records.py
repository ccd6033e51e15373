"""Records of samples as records of a layout of IPFIX elements, one for each sampled packet.

Of what a sample tells of its packet the header is best (format 1), then what the device read of
IPv4 or IPv6 (3, 4). Next hop, prefix lengths, AS and VLANs of the device (1001 to 1003) go along.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.records.fixed_records import FixedRecords, fixed_records
from appliance.decoding.templates.decode_plan import DecodePlan, plan_of
from appliance.decoding.templates.template import FieldSpecifier
from appliance.export_protocols import SFLOW
from appliance.plugins.sflow.samples import Samples
from appliance.plugins.sflow.walking import Int

Octets = NDArray[np.uint8]
Fields = dict[int, NDArray[Any]]
"""By information element (IANA): integers of shape (n,), or octets of shape (n, octets)."""

_RAW_HEADER, _IPV4, _IPV6 = 1, 3, 4
_SWITCH, _ROUTER, _GATEWAY = 1001, 1002, 1003
_ETHERNET, _RAW_IPV4, _RAW_IPV6 = 1, 11, 12
_FRAME_SECTION, _PACKET_SECTION = 315, 313
_FRAME_SIZE, _FRAME_TYPE, _EXPORTED_OCTETS = 312, 408, 410
_SECTION_WORDS = (32, 64)
"""Usual headers have up to 128 octets; of longer ones so much is kept."""

_MOST_SEGMENTS = 8
"""Segments of an AS path; of longer paths the destination is not known."""

_DROPPED = 0b10_000000
"""forwardingStatus (89): dropped, the reason unknown."""

_INGRESS, _EGRESS, _UNKNOWN_DIRECTION = 0, 1, 255
_OCTETS_OF = {
    1: 4, 2: 1, 4: 1, 5: 1, 6: 1, 7: 2, 8: 4, 9: 1, 10: 4, 11: 2, 12: 4, 13: 1, 14: 4, 15: 4,
    16: 4, 17: 4, 18: 4, 27: 16, 28: 16, 29: 1, 30: 1, 34: 4, 58: 2, 59: 2, 61: 1, 62: 16, 63: 16,
    89: 1, _FRAME_SIZE: 4, _FRAME_TYPE: 2, _EXPORTED_OCTETS: 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Found:
    """Records of one format; arrays of shape (n,): the samples, in ascending order, that have one,
    where it begins in the words, and how many it has."""

    rows: Int
    start: Int
    length: Int

    def take(self, chosen: NDArray[np.bool_]) -> _Found:
        return _Found(self.rows[chosen], self.start[chosen], self.length[chosen])


def packet_records(samples: Samples) -> Iterator[tuple[Int, FixedRecords]]:
    """Yield rows of samples and a record for each; a sample without a packet is in none of them."""
    context = _context(samples)
    is_left = np.ones(len(samples), np.bool_)
    for found, fields in _packets(samples):
        chosen = is_left[found.rows]
        rows = found.rows[chosen]
        is_left[rows] = False
        if len(rows):
            layout = {element: values[rows] for element, values in context.items()}
            layout |= {element: values[chosen] for element, values in fields.items()}
            yield rows, _records(layout)


def _packets(samples: Samples) -> Iterator[tuple[_Found, Fields]]:
    """Yield what samples tell of their packets, the best first."""
    headers = _find(samples, _RAW_HEADER, 4)
    is_packet = np.isin(samples.words[headers.start], (_RAW_IPV4, _RAW_IPV6))
    for found, element in (
        (headers.take(~is_packet), _FRAME_SECTION),
        (headers.take(is_packet), _PACKET_SECTION),
    ):
        yield found, _header(samples, found, element)
    for number, address_words, ends in ((_IPV4, 1, (8, 12)), (_IPV6, 4, (27, 28))):
        found = _find(samples, number, 6 + 2 * address_words)
        yield found, _packet(samples, found, address_words, ends)


def _find(samples: Samples, number: int, least_words: int) -> _Found:
    """Find the samples that have a record of a format; of several the first counts."""
    records = samples.records
    chosen = records.take((records.formats == number) & (records.length >= least_words))
    rows, first = np.unique(chosen.owner, return_index=True)
    return _Found(rows, chosen.start[first], chosen.length[first])


def _header(samples: Samples, found: _Found, element: int) -> Fields:
    """Read sampled headers: kind, octets of the frame, of them stripped, octets that are there."""
    kind, size, _, octets = (_word(samples, found.start + place) for place in range(4))
    octets = np.minimum(octets, (found.length - 4) * 4)
    longest = int(octets.max(initial=0))
    width = next((w for w in _SECTION_WORDS if longest <= w * 4), _SECTION_WORDS[-1])
    section = _octets(samples, found.start + 4, width)
    section[np.arange(width * 4) >= octets[:, None]] = 0
    fields: Fields = {
        _FRAME_SIZE: size,
        _EXPORTED_OCTETS: np.minimum(octets, width * 4),
        element: section,
    }
    if element == _FRAME_SECTION:
        fields[_FRAME_TYPE] = (kind == _ETHERNET).astype(np.int64)
    return fields


def _packet(samples: Samples, found: _Found, address_words: int, ends: tuple[int, int]) -> Fields:
    """Read what a device says of a packet of IP: octets, protocol, addresses, ports, flags, TOS."""
    fields: Fields = {
        element: _word(samples, found.start + place) for place, element in enumerate((1, 4))
    }
    for number, element in enumerate(ends):
        fields[element] = _octets(samples, found.start + 2 + number * address_words, address_words)
    behind = found.start + 2 + 2 * address_words
    rest = {element: _word(samples, behind + place) for place, element in enumerate((7, 11, 6, 5))}
    return {**fields, **rest, 2: np.ones(len(found.rows), np.int64)}


def _context(samples: Samples) -> Fields:
    """Return what samples tell beside their packets: fields over all of them."""
    source, ingress, egress = samples.source, samples.ingress, samples.egress
    directions = [(source > 0) & (source == ingress), (source > 0) & (source == egress)]
    return {
        10: ingress,
        14: egress,
        34: samples.rate,
        61: np.select(directions, [_INGRESS, _EGRESS], _UNKNOWN_DIRECTION),
        89: np.where(samples.is_dropped, _DROPPED, 0),
        **_switch(samples),
        **_router(samples),
        **_gateway(samples),
    }


def _switch(samples: Samples) -> Fields:
    """Read both VLANs of extended switch data: VLAN and priority in, VLAN and priority out."""
    found = _find(samples, _SWITCH, 4)
    return _spread(
        samples,
        found,
        {58: _word(samples, found.start), 59: _word(samples, found.start + 2)},
    )


def _router(samples: Samples) -> Fields:
    """Read the next hop and prefix lengths of extended router data."""
    found, behind, hops = _hops(samples, _ROUTER, (15, 62), 2)
    source, destination = (_word(samples, behind + place) for place in range(2))
    lengths: Fields = {9: source, 29: source, 13: destination, 30: destination}
    return _spread(samples, found, {**hops, **lengths})


def _gateway(samples: Samples) -> Fields:
    """Read next hop and AS of extended gateway data; the path's last AS is the destination's.

    The path is a list of segments, each with a type and a list of AS numbers.
    """
    found, behind, hops = _hops(samples, _GATEWAY, (18, 63), 4)
    end = found.start + found.length
    left, at = _word(samples, behind + 3), behind + 4
    destination = np.zeros(len(at), np.int64)
    for _ in range(_MOST_SEGMENTS):
        is_there = (left > 0) & (at + 2 <= end)
        count = np.where(is_there, _word(samples, at + 1), 0)
        is_there &= at + 2 + count <= end
        last = _word(samples, at + 1 + np.where(is_there, count, 0))
        destination = np.where(is_there & (count > 0), last, destination)
        at, left = at + np.where(is_there, 2 + count, 0), np.where(is_there, left - 1, 0)
        if not left.any():
            break
    systems: Fields = {16: _word(samples, behind + 1), 17: np.where(left > 0, 0, destination)}
    return _spread(samples, found, {**hops, **systems})


def _hops(
    samples: Samples, number: int, elements: tuple[int, int], words_behind: int
) -> tuple[_Found, Int, Fields]:
    """Read the address that records of a format begin with; also return where it ends."""
    found = _find(samples, number, 2)
    words = np.select([_word(samples, found.start) == kind for kind in (1, 2)], (1, 4), 0)
    whole = (words > 0) & (found.length >= 1 + words + words_behind)
    found, words = found.take(whole), words[whole]
    fields: Fields = {}
    for element, of_family in zip(elements, (1, 4), strict=True):
        address = _octets(samples, found.start + 1, of_family)
        address[words != of_family] = 0
        fields[element] = address
    return found, found.start + 1 + words, fields


def _spread(samples: Samples, found: _Found, fields: Fields) -> Fields:
    """Return fields of some samples as fields of all, 0 in the others; none where none has."""
    everywhere: Fields = {}
    for element, values in fields.items() if len(found.rows) else ():
        everywhere[element] = np.zeros((len(samples), *values.shape[1:]), values.dtype)
        everywhere[element][found.rows] = values
    return everywhere


def _word(samples: Samples, at: Int) -> Int:
    """Return words as numbers; of a place behind the last the last."""
    return samples.words[np.minimum(at, len(samples.words) - 1)].astype(np.int64)


def _octets(samples: Samples, at: Int, n_words: int) -> Octets:
    """Return the octets of so many words from each place on, shape (n, 4 * n_words)."""
    places = np.minimum(at[:, None] + np.arange(n_words), len(samples.words) - 1)
    octets: Octets = samples.words[places].astype(">u4").view(np.uint8)
    return octets.reshape(len(at), 4 * n_words)


def _records(fields: Fields) -> FixedRecords:
    """Write fields as an exporter would have; numbers that are too large keep their low octets."""
    octets = {
        element: values if values.ndim == 2 else _wire(values, _OCTETS_OF[element])
        for element, values in fields.items()
    }
    layout = tuple((element, part.shape[1]) for element, part in octets.items())
    raw = np.concatenate(list(octets.values()), axis=1).astype(np.uint8, copy=False)
    starts, lengths = (np.array([octets], np.int64) for octets in (0, raw.size))
    return fixed_records(_plan(layout), raw.reshape(-1), starts, lengths)[0]


def _wire(values: Int, octets: int) -> Octets:
    return values.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 8 - octets :]


@cache
def _plan(layout: tuple[tuple[int, int], ...]) -> DecodePlan:
    return plan_of(SFLOW, tuple(FieldSpecifier(*field) for field in layout), 0, False)
