"""Codes of exporters and directions, each of which has a threshold of its own in a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from appliance.flows import AnyArray

_ROOM = 64


class Strata:
    """What tells strata apart, and a code for each in the order in which they were met.

    Attributes
    ----------
    count
        How many there are.
    """

    def __init__(self) -> None:
        self.count = 0
        self._keys, self._codes = np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def with_room(self) -> tuple[AnyArray, AnyArray]:
        """Return the keys, uint64 and ascending, and the code of each, int64, in arrays that have
        room for more; who puts some there sets `count`."""
        if self.count == len(self._keys):
            more = max(_ROOM, self.count)
            self._keys = np.append(self._keys, np.zeros(more, np.uint64))
            self._codes = np.append(self._codes, np.zeros(more, np.int64))
        return self._keys, self._codes

    def codes(self, keys: AnyArray) -> AnyArray:
        """Return the code of each key, int64."""
        encoded = pa.array(keys).dictionary_encode()
        known = self._codes_of(encoded.dictionary)
        codes: AnyArray = known[encoded.indices.to_numpy()]
        return codes

    def distinct_codes(self, keys: AnyArray) -> AnyArray:
        """Return the codes that some keys have, each once; a third of the time of `codes`."""
        return self._codes_of(pc.unique(pa.array(keys[:1] if keys.strides == (0,) else keys)))

    def _codes_of(self, distinct: Any) -> AnyArray:
        wanted = distinct.to_numpy()
        keys, codes = self._keys[: self.count], self._codes[: self.count]
        missing = wanted[~np.isin(wanted, keys)]
        if len(missing):
            keys = np.append(keys, missing)
            order = np.argsort(keys)
            codes = np.append(codes, np.arange(self.count, len(keys)))[order]
            self._keys, self._codes, self.count = keys[order], codes, len(keys)
        found: AnyArray = self._codes[np.searchsorted(self._keys[: self.count], wanted)]
        return found
