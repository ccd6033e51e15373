"""Headers of sFlow datagrams, as arrays over a block.

A header has the version (4 octets), the agent's address with its type before it (1: IPv4, 2: IPv6),
sub-agent, sequence number, uptime in milliseconds, and the number of samples, 4 octets each. A
sub-agent is what other protocols call an observation domain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.decoding.messages.block import DatagramBlock
from appliance.decoding.messages.faults import Fault
from appliance.decoding.messages.headers import Headers
from appliance.flows import V4_MAPPED
from appliance.plugins.sflow.walking import Int, Words

_VERSION = 5
_IPV4, _IPV6 = 1, 2
_WORDS_BEHIND = {_IPV4: 3, _IPV6: 6}
"""Words before the sub-agent, by the type of the agent's address."""

_LEAST_WORDS = 7


@dataclass(frozen=True, slots=True)
class Datagrams:
    """Datagrams of a block.

    Attributes
    ----------
    words
        The block in words of four octets, native byte order, one dimension.
    first, start, end, n_samples
        int64, shape (n,): where each begins in `words`, where its samples begin and end there, and
        how many it announces; 0 of one that is refused.
    agents
        uint64, shape (n,) each: halves of the agents' addresses, 0 where there is none.
    """

    words: Words
    headers: Headers
    first: Int
    start: Int
    end: Int
    n_samples: Int
    agents: tuple[NDArray[np.uint64], NDArray[np.uint64]]


def read_datagrams(block: DatagramBlock) -> Datagrams:
    """Read the headers of a block; what is not sFlow version 5 is refused."""
    words, stride = _words_of(block)
    first = np.arange(len(block)) * stride
    n_words = block.lengths // 4
    table = words.reshape(len(block), stride)
    kind = table[:, 1].astype(np.int64)
    behind = np.select([kind == _IPV4, kind == _IPV6], list(_WORDS_BEHIND.values()), 0)
    whole = (n_words >= _LEAST_WORDS) & (n_words >= behind + 4)
    faults = [
        *_faults(~whole, "header_cut", "shorter than a header of sFlow"),
        *_faults(whole & (table[:, 0] != _VERSION), "sflow_version", "not version 5 of sFlow"),
        *_faults(whole & (behind == 0), "sflow_agent", "the agent's address is of no known type"),
    ]
    usable = whole & (table[:, 0] == _VERSION) & (behind > 0)
    domain, sequence, uptime_ms, n_samples = (
        np.where(usable, words[np.where(usable, first + behind + place, 0)], 0).astype(np.int64)
        for place in range(4)
    )
    headers = Headers(
        domain=domain,
        sequence=sequence,
        export_ms=block.received_ms.copy(),
        uptime_ms=uptime_ms,
        end=np.where(usable, block.lengths, 0),
        count=n_samples,
        faults=sorted(faults),
    )
    end = np.where(usable, first + n_words, 0)
    start = np.where(usable, first + behind + 4, 0)
    return Datagrams(words, headers, first, start, end, n_samples, _agents(table, kind, usable))


def _words_of(block: DatagramBlock) -> tuple[Words, int]:
    """Copy the octets of a block in words of native byte order; also return words of a row."""
    n, octets = block.octets.shape
    stride = max(-(-octets // 4), _LEAST_WORDS)
    padded = np.zeros((n, stride * 4), np.uint8)
    padded[:, :octets] = block.octets
    return padded.view(">u4").astype(np.uint32).reshape(-1), stride


def _faults(refused: NDArray[np.bool_], reason: str, detail: str) -> list[Fault]:
    return [Fault(row, reason, detail) for row in np.flatnonzero(refused).tolist()]


def _agents(
    table: Words, kind: Int, usable: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    words = table[:, 2:6].astype(np.uint64)
    short = usable & (kind == _IPV4) & (words[:, 0] > 0)
    long = usable & (kind == _IPV6)
    hi = np.where(long, words[:, 0] << np.uint64(32) | words[:, 1], 0)
    lo = np.where(long, words[:, 2] << np.uint64(32) | words[:, 3], 0)
    return hi, np.where(short, words[:, 0] | np.uint64(V4_MAPPED), lo)
