"""What counter samples say of interfaces.

A sample begins with its sequence number, data source and the number of its records; in expanded
samples the data source has a word more for its type (sFlow Version 5, section 5.3, "Sample
Formats"). The record of format 1, `if_counters`, has the generic counters of an interface: octets
in 64 bits, which are kept, and packets in 32. Records of other formats are counted.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.interface_counters import STATE_UNKNOWN, InterfaceCounters
from appliance.decoding.messages.faults import Fault
from appliance.decoding.results import DecodeResult
from appliance.export_protocols import SFLOW
from appliance.plugins.sflow.datagrams import Datagrams
from appliance.plugins.sflow.samples import EXPANDED_COUNTERS, OF_THE_DEVICE, SOURCE_BITS
from appliance.plugins.sflow.walking import Int, Pieces, Words, walk

_FIXED_WORDS, _EXPANDED_WORDS = 3, 4
_IF_COUNTERS, _IF_COUNTERS_WORDS = 1, 22
_IF_INDEX, _TYPE, _SPEED, _STATUS, _IN_OCTETS, _OUT_OCTETS = 0, 1, 2, 5, 6, 14
_OPERATIONAL = 0b10
"""Of ifStatus; the lowest bit is ifAdminStatus."""

_OTHER = 1
"""ifType: none of those that have a number."""

_UNKNOWN = 0xFFFF_FFFF
"""Agents send all ones for what they cannot tell."""

_NO_INTERFACE = (0, OF_THE_DEVICE, _UNKNOWN)
"""In place of an ifIndex, by exporters that have none: the second, mostly."""

_FASTEST = 1 << 63
"""Bits a second; what is said to be as fast is not known."""

_LOW_BITS = np.uint32((1 << SOURCE_BITS) - 1)

Halves = tuple[NDArray[np.uint64], NDArray[np.uint64]]


def read_counters(
    datagrams: Datagrams, pieces: Pieces, exporters: Halves, result: DecodeResult
) -> None:
    """Put what counter samples say of interfaces into a result; note what is damaged or not kept.

    Parameters
    ----------
    pieces
        Counter samples; the owner is the row of a datagram.
    exporters
        For each datagram, the address that its counters are of.
    """
    words = datagrams.words
    samples, records = _records(words, pieces, result)
    is_generic = records.formats == _IF_COUNTERS
    generic = records.take(is_generic)
    is_whole = generic.length >= _IF_COUNTERS_WORDS
    result.faults += [
        Fault(row, "sflow_cut", "counters of an interface end within their own fields")
        for row in samples.owner[generic.owner[~is_whole]].tolist()
    ]
    generic = generic.take(is_whole)
    names_interface = _names_interface(
        words, generic.start, _sources(words, samples)[generic.owner]
    )
    result.counts += Counter(
        sflow_counter_records_not_kept=int(np.count_nonzero(~is_generic)),
        sflow_counters_without_interface=int(np.count_nonzero(~names_interface)),
    )
    chosen = generic.take(names_interface)
    if len(chosen.owner):
        rows = samples.owner[chosen.owner]
        result.interface_counters = _counters(words, chosen.start, rows, exporters)


def _records(words: Words, pieces: Pieces, result: DecodeResult) -> tuple[Pieces, Pieces]:
    """Return the samples that are whole, and their records."""
    fixed = np.where(pieces.formats == EXPANDED_COUNTERS, _EXPANDED_WORDS, _FIXED_WORDS)
    is_whole = pieces.length >= fixed
    result.faults += [
        Fault(row, "sflow_cut", "a counter sample ends within its own fields")
        for row in pieces.owner[~is_whole].tolist()
    ]
    samples, fixed = pieces.take(is_whole), fixed[is_whole]
    begin = samples.start + fixed
    announced = words[begin - 1].astype(np.int64)
    records = walk(words, begin, samples.start + samples.length, announced)
    result.faults += [
        fault._replace(datagram=int(samples.owner[fault.datagram])) for fault in records.faults
    ]
    return samples, records


def _sources(words: Words, samples: Pieces) -> Words:
    """Return the low bits of the ifIndex that each sample was taken of, which both forms have."""
    is_expanded = samples.formats == EXPANDED_COUNTERS
    return words[samples.start + np.where(is_expanded, 2, 1)] & _LOW_BITS


def _names_interface(words: Words, start: Int, sources: Words) -> NDArray[np.bool_]:
    """Tell which counters are of an interface that flows can name.

    Nokia's SR OS sends counters of service access points in the same record, of ifType `other`:
    their ifIndex is a VLAN's number, and only the data source is the port.
    """
    numbers = words[start + _IF_INDEX]
    is_of_port = (words[start + _TYPE] != _OTHER) | (numbers & _LOW_BITS == sources)
    names_interface: NDArray[np.bool_] = is_of_port & ~np.isin(numbers, _NO_INTERFACE)
    return names_interface


def _counters(words: Words, start: Int, rows: Int, exporters: Halves) -> InterfaceCounters:
    status = words[start + _STATUS]
    is_up = (status & _OPERATIONAL > 0).astype(np.int8)
    speed = _hyper(words, start + _SPEED)
    return InterfaceCounters(
        version=SFLOW,
        datagram=rows,
        exporter_hi=exporters[0][rows],
        exporter_lo=exporters[1][rows],
        if_index=words[start + _IF_INDEX].astype(np.int64),
        speed=np.where(speed < _FASTEST, speed, np.uint64(0)),
        state=np.where(status == _UNKNOWN, np.int8(STATE_UNKNOWN), is_up),
        in_octets=_hyper(words, start + _IN_OCTETS),
        out_octets=_hyper(words, start + _OUT_OCTETS),
    )


def _hyper(words: Words, at: Int) -> NDArray[np.uint64]:
    """Return numbers of two words (RFC 4506 section 4.5)."""
    high, low = words[at].astype(np.uint64), words[at + 1].astype(np.uint64)
    return high << np.uint64(32) | low
