"""Dictionaries of few values and Bloom filters, in C: twins of `appliance.flowlog.parquet`."""

from __future__ import annotations

from ctypes import c_int64, c_uint64, c_void_p

import numpy as np

from appliance.flows import AnyArray
from appliance.native.library import HASH_SEED, array_of, kernel

BLOCK_WORDS = 8
_BITMAP_WORDS = 1 << 14
"""A million bits stay in the cache; with as many values the estimate is right to a thousandth."""

_FEW_VALUES = {
    dtype: kernel(
        f"few_values_{8 * dtype.itemsize}",
        c_int64,
        *(array_of(dtype), c_int64, array_of(dtype), array_of(np.uint16), c_int64, c_uint64),
    )
    for dtype in (np.dtype(name) for name in ("u1", "u2", "u4", "u8"))
}
_PACK_CODES = kernel("pack_codes", None, array_of(np.uint16), c_int64, c_int64, array_of(np.uint8))
_FILL_FILTER = kernel(
    "fill_filter", None, array_of(np.uint64), c_int64, array_of(np.uint32), c_int64
)
_ESTIMATE_DISTINCT = kernel(
    "estimate_distinct",
    c_int64,
    *(array_of(np.uint64), c_int64, array_of(np.uint64), c_int64, c_uint64),
)
_SPLIT_BYTES = kernel("split_bytes", None, c_void_p, c_int64, c_int64, c_int64, array_of(np.uint8))
_PACK_DELTAS = kernel("pack_deltas", c_int64, array_of(np.int64), c_int64, array_of(np.uint8))


def few_values(values: AnyArray, most: int) -> tuple[AnyArray, AnyArray] | None:
    """Find the distinct values of a column, and which of them each row has.

    Parameters
    ----------
    values
        Unsigned numbers, contiguous.
    most
        At most 65,536.

    Returns
    -------
    tuple
        The values in the order in which they appear first, and uint16 places among them; None for
        more than `most`.
    """
    distinct, codes = np.empty(most, values.dtype), np.empty(len(values), np.uint16)
    count = _FEW_VALUES[values.dtype](values, len(values), distinct, codes, most, HASH_SEED)
    if count == -2:
        raise MemoryError
    return None if count < 0 else (distinct[:count], codes)


def pack_codes(codes: AnyArray, width: int) -> AnyArray:
    """Return codes of 1, 2, 4, 8 or 16 bits, uint16 and contiguous, packed into octets: the lowest
    bits first, as many as groups of 8 codes take."""
    packed = np.zeros(-(-len(codes) // 8) * width, np.uint8)
    _PACK_CODES(codes, len(codes), width, packed)
    return packed


def bloom_filter(values: AnyArray) -> bytes:
    """Return the bits of a split-block Bloom filter of values, dtype uint64, however often each is
    there; its size is that for the estimated number of distinct ones."""
    bitmap = np.zeros(_BITMAP_WORDS, np.uint64)
    estimated = _ESTIMATE_DISTINCT(values, len(values), bitmap, len(bitmap), HASH_SEED)
    blocks = max(-(-estimated // (4 * BLOCK_WORDS)), 1)
    words = np.zeros(blocks * BLOCK_WORDS, np.uint32)
    _FILL_FILTER(values, len(values), words, blocks)
    return words.astype("<u4", copy=False).tobytes()


def split_bytes(values: AnyArray, width: int, head: bytes) -> AnyArray:
    """Return numbers as BYTE_STREAM_SPLIT, each of `width` octets, behind some other octets; they
    are contiguous and no wider."""
    whole = np.empty(len(head) + width * len(values), np.uint8)
    whole[: len(head)] = np.frombuffer(head, np.uint8)
    streams = whole[len(head) :]
    _SPLIT_BYTES(values.ctypes.data, values.dtype.itemsize, len(values), width, streams)
    return whole


def pack_deltas(values: AnyArray) -> AnyArray:
    """Return numbers, int64 and contiguous, as DELTA_BINARY_PACKED."""
    blocks = len(values) // 128 + 1
    octets = np.empty(64 + 1050 * blocks, np.uint8)
    return octets[: _PACK_DELTAS(values, len(values), octets)]
