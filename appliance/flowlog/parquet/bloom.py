"""Bloom filters of column chunks: which values a row group surely does not have.

A reader that looks for one address skips the row groups that do not have it. Split-block filters of
one octet a distinct value: about one of forty values that are not there seems to be.

References
----------
apache/parquet-format: BloomFilter.md; xxHash specification, XXH64
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.flowlog.parquet.chunks import Chunk
from appliance.flowlog.parquet.thrift import STRUCT, Field, Struct, i32, i64, write_struct
from appliance.flows import AnyArray
from appliance.native import columns as native
from appliance.native import library

META_FILTER, META_FILTER_OCTETS = 14, 15

BLOCK_OCTETS = 32
_STEP_VALUES = 8192
"""What is made on the way of so many values stays in the processor's cache: three times as fast."""

_SALTS = np.array(
    (
        0x47B6137B,
        0x44974D91,
        0x8824AD5B,
        0xA2B7289D,
        0x705495C7,
        0x2DF1424B,
        0x9EFC4947,
        0x5C6BFB31,
    ),
    np.uint32,
)
_PRIMES = tuple(
    np.uint64(prime)
    for prime in (
        11400714785074694791,
        14029467366897019727,
        1609587929392839161,
        9650029242287828579,
        2870177450012600261,
    )
)
# Union members of the header: split blocks, XXH64, not compressed.
_HEADER: Struct = {number: Field(STRUCT, {1: Field(STRUCT, {})}) for number in (2, 3, 4)}


def with_filter(chunk: Chunk, values: AnyArray) -> Chunk:
    """Return a chunk with a Bloom filter behind its pages.

    Parameters
    ----------
    values
        Its values, dtype uint64, contiguous; how often each is there makes no difference.
    """
    is_native = library.IS_AVAILABLE
    octets = native.bloom_filter(values) if is_native else bloom_filter(_distinct(values))
    whole = write_struct({1: i32(len(octets))} | _HEADER) + octets
    place = {META_FILTER: i64(chunk.n_octets), META_FILTER_OCTETS: i32(len(whole))}
    return Chunk((*chunk.parts, whole), chunk.meta | place)


def _distinct(values: AnyArray) -> AnyArray:
    found: AnyArray = pc.unique(pa.array(values)).to_numpy()
    return found


def bloom_filter(distinct: AnyArray) -> bytes:
    """Return the bits of a split-block Bloom filter of values, dtype uint64."""
    blocks = max(-(-len(distinct) // BLOCK_OCTETS), 1)
    bits = np.zeros(blocks * BLOCK_OCTETS * 8, np.bool_)
    for start in range(0, len(distinct), _STEP_VALUES):
        hashes = xxh64(distinct[start : start + _STEP_VALUES])
        block = (hashes >> np.uint64(32)) * np.uint64(blocks) >> np.uint64(32)
        first_bit = block.astype(np.int64) * 256
        low = hashes.astype(np.uint32)
        for word, salt in enumerate(_SALTS):
            bits[first_bit + (low * salt >> np.uint32(27)).astype(np.int64) + 32 * word] = True
    return np.packbits(bits, bitorder="little").tobytes()


def xxh64(values: AnyArray) -> AnyArray:
    """Return the XXH64 of numbers as 8 octets each, lowest first; dtype uint64, seed 0."""
    one, two, three, four, five = _PRIMES
    hashes = _rotate(values * two, 31) * one
    hashes ^= five + np.uint64(8)
    hashes = _rotate(hashes, 27) * one + four
    hashes ^= hashes >> np.uint64(33)
    hashes *= two
    hashes ^= hashes >> np.uint64(29)
    hashes *= three
    hashes ^= hashes >> np.uint64(32)
    return hashes


def _rotate(values: AnyArray, bits: int) -> AnyArray:
    rotated: AnyArray = values << np.uint64(bits) | values >> np.uint64(64 - bits)
    return rotated
