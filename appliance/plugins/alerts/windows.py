"""Sums and numbers of different values over the last seconds, by group.

A window is made of slices of a few seconds. What a sender can grow is bounded: a slice keeps the
largest groups, and of pairs of group and value a share that is chosen by hash, so that the count of
different values stays right on average however many there are.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from appliance import FlowBatch
from appliance.flows import AnyArray
from appliance.plugins.alerts.rules import DISTINCT_COLUMNS, GROUPS, Rule

MAX_GROUPS = 10_000
"""Of a slice; the largest are kept."""

MAX_PAIRS = 50_000
"""Of a slice, of group and different value."""

SLICES = 30

Hashes = NDArray[np.uint64]
_SEED = int.from_bytes(os.urandom(8)) | 1
"""Of this process: nobody can choose addresses whose hashes are the same."""


class GroupValues(NamedTuple):
    """What was measured of groups.

    Attributes
    ----------
    hashes
        uint64, shape (n_groups,): what tells groups apart.
    keys
        uint64, shape (n_groups, n_columns): the columns of `GROUPS`.
    values
        float64, shape (n_groups,).
    """

    hashes: Hashes
    keys: AnyArray
    values: AnyArray


class _Pairs(NamedTuple):
    """Pairs of a group and one of its different values: hashes of the pair and of the group.

    Attributes
    ----------
    level
        One in 2**level is there: those whose hash ends in so many zero bits.
    """

    hashes: Hashes
    groups: Hashes
    level: int = 0

    def at_level(self, level: int) -> _Pairs:
        """Return fewer of them."""
        if level <= self.level:
            return self
        chosen = np.flatnonzero((self.hashes & np.uint64((1 << level) - 1)) == 0)
        return _Pairs(self.hashes[chosen], self.groups[chosen], level)

    def bounded(self) -> _Pairs:
        """Return as many as a slice may have, each once."""
        hashes, first = np.unique(self.hashes, return_index=True)
        pairs = _Pairs(hashes, self.groups[first], self.level)
        while len(pairs.hashes) > MAX_PAIRS:
            pairs = pairs.at_level(pairs.level + 1)
        return pairs


@dataclass(slots=True)
class _Slice:
    """A few seconds: sums of groups, and of what different values are counted."""

    start: int
    groups: GroupValues
    total_octets: float = 0.0
    pairs: _Pairs | None = None


class Window:
    """What a rule measures over its last seconds.

    Attributes
    ----------
    cut_groups
        Groups of slices that were left out as the smallest.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.cut_groups = 0
        self._step = max(rule.window // SLICES, 1)
        self._slices: deque[_Slice] = deque()
        self._columns = GROUPS[rule.by]
        self._distinct = DISTINCT_COLUMNS.get(rule.measure)
        self._level = 0

    @property
    def reads(self) -> set[str]:
        """The columns that it reads beside time and counters."""
        return {*self._columns, *(self._distinct or ())}

    def add(self, batch: FlowBatch, chosen: NDArray[np.intp]) -> None:
        """Take flows in.

        Parameters
        ----------
        chosen
            The places of those that fit the filter; the others count for the total only.
        """
        times, step_ms = batch.column("collection_time_milliseconds"), self._step * 1000
        own = times[chosen] // step_ms
        # Only a share is of all flows, those that do not fit the filter too.
        every = times // step_ms if self.rule.measure == "share" else own
        for step in np.unique(every)[-2 * SLICES :].tolist():
            part = self._slice(batch, chosen[own == step], step * self._step)
            if self.rule.measure == "share":
                here = np.flatnonzero(every == step)
                part.total_octets = float(scale_counter(batch, "octet_delta_count", here).sum())
            self._merge(part)

    def values(self, until: int) -> GroupValues:
        """Return what groups have over the window that ends at a second; the older is forgotten."""
        since = until - self.rule.window
        while self._slices and self._slices[0].start <= since - self._step:
            self._slices.popleft()
        slices = [
            one for one in self._slices if since < one.start + self._step and one.start < until
        ]
        if not slices:
            return _no_groups(len(self._columns))
        if self._distinct is not None:
            return _count_distinct(slices)
        joined = _sum_up(_join([one.groups for one in slices]))
        if self.rule.measure == "share":
            total = sum(one.total_octets for one in slices)
            return joined._replace(values=100 * joined.values / max(total, 1.0))
        factor = 8 if self.rule.measure == "bps" else 1
        return joined._replace(values=joined.values * factor / self.rule.window)

    def _slice(self, batch: FlowBatch, places: NDArray[np.intp], start: int) -> _Slice:
        keys = _keys(batch, self._columns, places)
        hashes = hash_rows(keys)
        if self._distinct is not None:
            values = _keys(batch, self._distinct, places)
            pairs = _Pairs(hash_rows(np.column_stack([hashes, values])), hashes)
            pairs = pairs.at_level(self._level).bounded()
            self._level = max(pairs.level - 1, 0)
            ones = _sum_up(GroupValues(hashes, keys, np.ones(len(hashes))))
            return self._bounded(_Slice(start, ones, pairs=pairs))
        column = {"pps": "packet_delta_count", "fps": "delta_flow_count"}.get(
            self.rule.measure, "octet_delta_count"
        )
        if column == "delta_flow_count":
            counts = batch.column(column)[places].astype(np.float64)
        else:
            counts = scale_counter(batch, column, places)
        return self._bounded(_Slice(start, _sum_up(GroupValues(hashes, keys, counts))))

    def _bounded(self, part: _Slice) -> _Slice:
        """Return a slice without what is too much of it."""
        surplus = len(part.groups.hashes) - MAX_GROUPS
        if surplus > 0:
            self.cut_groups += surplus
            largest = np.argpartition(part.groups.values, surplus)[surplus:]
            part.groups = GroupValues(*(array[largest] for array in part.groups))
        return part

    def _merge(self, part: _Slice) -> None:
        """Put a slice in its place, together with the one that is there."""
        for place in range(len(self._slices) - 1, -1, -1):
            there = self._slices[place]
            if there.start == part.start:
                joined = [there.groups, part.groups]
                pairs = [one.pairs for one in (there, part) if one.pairs is not None]
                octets = there.total_octets + part.total_octets
                merged = _Slice(part.start, _sum_up(_join(joined)), octets, _join_pairs(pairs))
                self._slices[place] = self._bounded(merged)
                return
            if there.start < part.start:
                self._slices.insert(place + 1, part)
                return
        self._slices.appendleft(part)


def group_values(values: Mapping[tuple[int, ...], float]) -> GroupValues:
    """Return values by key as arrays."""
    keys = np.array(list(values), np.uint64).reshape(len(values), -1)
    return GroupValues(hash_rows(keys), keys, np.array(list(values.values()), np.float64))


def places_of(found: GroupValues, keys: Sequence[tuple[int, ...]]) -> NDArray[np.intp]:
    """Return the places of groups by their keys, of those that are there."""
    if not keys or not len(found.hashes):
        return np.zeros(0, np.intp)
    wanted = hash_rows(np.array(keys, np.uint64).reshape(len(keys), -1))
    return np.flatnonzero(np.isin(found.hashes, wanted))


def scale_counter(batch: FlowBatch, column: str, places: NDArray[np.intp]) -> AnyArray:
    """Return a counter of some flows as float64, scaled by the sampling rate, 1 where none is
    known."""
    rate = batch.column("sampling_rate")[places]
    counts = batch.column(column)[places].astype(np.float64)
    return np.asarray(counts * np.where(rate > 0, rate, 1.0))


def _keys(batch: FlowBatch, columns: Sequence[str], places: NDArray[np.intp]) -> AnyArray:
    keys = np.zeros((len(places), len(columns)), np.uint64)
    for place, name in enumerate(columns):
        keys[:, place] = batch.column(name)[places]
    return keys


def hash_rows(keys: AnyArray) -> Hashes:
    """Return a hash of each row (splitmix64 over its numbers, seeded by process)."""
    mixed: Hashes = np.full(len(keys), np.uint64(_SEED & (2**64 - 1)))
    for column in keys.T:
        mixed = mixed + column * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


def _no_groups(n_columns: int) -> GroupValues:
    return GroupValues(np.zeros(0, np.uint64), np.zeros((0, n_columns), np.uint64), np.zeros(0))


def _sum_up(rows: GroupValues) -> GroupValues:
    hashes, first, inverse = np.unique(rows.hashes, return_index=True, return_inverse=True)
    return GroupValues(hashes, rows.keys[first], np.bincount(inverse, rows.values, len(hashes)))


def _join(parts: Sequence[GroupValues]) -> GroupValues:
    return GroupValues(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _join_pairs(parts: Sequence[_Pairs]) -> _Pairs | None:
    """Return the pairs of several slices, each once, at the level of the fewest."""
    if not parts:
        return None
    level = max(one.level for one in parts)
    same = [one.at_level(level) for one in parts]
    hashes, groups = (np.concatenate(arrays) for arrays in zip(*(p[:2] for p in same), strict=True))
    return _Pairs(hashes, groups, level).bounded()


def _count_distinct(slices: Sequence[_Slice]) -> GroupValues:
    """Return how many different values each group has, of those that are among the largest."""
    parts = [one.pairs for one in slices if one.pairs is not None]
    level = max(one.level for one in parts)
    same = [one.at_level(level) for one in parts]
    _, first = np.unique(np.concatenate([one.hashes for one in same]), return_index=True)
    groups = np.concatenate([one.groups for one in same])[first]
    hashes, counts = np.unique(groups, return_counts=True)
    known = _sum_up(_join([one.groups for one in slices]))
    _, places, chosen = np.intersect1d(known.hashes, hashes, True, return_indices=True)
    values = counts[chosen].astype(np.float64) * (1 << level)
    return GroupValues(known.hashes[places], known.keys[places], values)
