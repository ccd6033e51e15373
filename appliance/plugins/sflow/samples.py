"""What flow samples say, and where their records are.

A sample begins with its sequence number, data source, sampling rate, pool, drops, the interfaces in
and out, and the number of its records; in expanded samples data source and interfaces have a word
more for their type (sFlow Version 5, section 5.3, "Sample Formats").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.faults import Fault
from appliance.plugins.sflow.datagrams import Datagrams
from appliance.plugins.sflow.walking import Int, Pieces, Words, walk

_FLOW, _COUNTERS, _EXPANDED_FLOW, EXPANDED_COUNTERS = 1, 2, 3, 4
FLOW_FORMATS = (_FLOW, _EXPANDED_FLOW)
COUNTER_FORMATS = (_COUNTERS, EXPANDED_COUNTERS)

_FIXED_WORDS, _EXPANDED_WORDS = 8, 11
SOURCE_BITS, _INTERFACE_BITS = 24, 30
_UNKNOWN_INTERFACE = (1 << _INTERFACE_BITS) - 1
_IF_INDEX, _DISCARDED = 0, 1
OF_THE_DEVICE = 0x3FFF_FFFF
"""In place of an ifIndex: the device itself, or none."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Flow samples of a block; arrays of shape (n,), int64 if nothing else is said.

    Attributes
    ----------
    datagram
        Row of the datagram of each, in ascending order.
    offset
        Where each begins in its datagram, octets.
    rate
        One packet of so many was taken; 0: not told.
    source, ingress, egress
        ifIndex of the data source and of both interfaces; 0: not known.
    is_dropped
        bool: the device did not forward the packet.
    records
        Of all samples; the owner is the row of a sample.
    """

    words: Words
    datagram: Int
    offset: Int
    rate: Int
    source: Int
    ingress: Int
    egress: Int
    is_dropped: NDArray[np.bool_]
    records: Pieces

    def __len__(self) -> int:
        return len(self.datagram)


def read_samples(datagrams: Datagrams, pieces: Pieces) -> tuple[Samples, list[Fault]]:
    """Read flow samples, plain and expanded ones, and find their records.

    Parameters
    ----------
    pieces
        Flow samples; the owner is the row of a datagram.
    """
    expanded = pieces.formats == _EXPANDED_FLOW
    fixed = np.where(expanded, _EXPANDED_WORDS, _FIXED_WORDS)
    whole = pieces.length >= fixed
    faults = [
        Fault(row, "sflow_cut", "a flow sample ends within its own fields")
        for row in pieces.owner[~whole].tolist()
    ]
    words = datagrams.words
    pieces, expanded, fixed = pieces.take(whole), expanded[whole], fixed[whole]
    start = pieces.start

    def word(plain: int, of_expanded: int) -> Int:
        return words[start + np.where(expanded, of_expanded, plain)].astype(np.int64)

    ingress, _ = _interface(word(5, 6), word(5, 7), expanded)
    egress, is_dropped = _interface(word(6, 8), word(6, 9), expanded)
    source = np.where(expanded, word(1, 2), word(1, 2) & (1 << SOURCE_BITS) - 1)
    records = walk(words, start + fixed, start + pieces.length, word(7, 10))
    faults += [f._replace(datagram=int(pieces.owner[f.datagram])) for f in records.faults]
    offset = (start - datagrams.first[pieces.owner]) * 4
    samples = Samples(
        *(words, pieces.owner, offset, word(2, 3), source, ingress, egress, is_dropped, records)
    )
    return samples, faults


def _interface(
    first: Int, second: Int, expanded: NDArray[np.bool_]
) -> tuple[Int, NDArray[np.bool_]]:
    """Return the ifIndex of an interface, and whether it says that the packet was dropped.

    The two highest bits of the word, or the word before, are its type: 0 is an ifIndex, 1 the
    reason of a drop, 2 the number of several interfaces, which is none.
    """
    kind = np.where(expanded, first, first >> _INTERFACE_BITS)
    value = np.where(expanded, second, first & _UNKNOWN_INTERFACE)
    is_index = (kind == _IF_INDEX) & (value != OF_THE_DEVICE) & (value < 1 << 32)
    return np.where(is_index, value, 0), kind == _DISCARDED
