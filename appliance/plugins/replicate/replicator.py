"""The tap that hands copies of datagrams to the threads of their targets."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance import DatagramBlock, StartupError
from appliance.collector.exporter_networks import ExporterNetworks
from appliance.collector.mmsghdr import c_function
from appliance.plugins.replicate.figures import NAME
from appliance.plugins.replicate.local_targets import is_received_here
from appliance.plugins.replicate.original_source import padded_stride
from appliance.plugins.replicate.replicate_settings import TARGETS, Target
from appliance.plugins.replicate.target_sender import Piece, TargetSender
from appliance.settings.types import ListenAddress

STOP_SECONDS = 1.0

_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_SET_OFFSETS = {9: (20, 1), 10: (16, 3)}
"""By version: where the first Set begins, and the highest ID of templates (RFC 3954 sections 5.2
and 6.1; RFC 7011 section 3.3.2)."""


class Replicator:
    """Copies datagrams to other collectors; see `DatagramTap`."""

    name = NAME

    def __init__(self, targets: Sequence[Target], *, keep_source: bool, queue_octets: int) -> None:
        self._targets = [
            (
                Selector(target),
                TargetSender(target.to, keep_source=keep_source, queue_octets=queue_octets),
            )
            for target in targets
        ]

    def start(self, listen: Sequence[ListenAddress]) -> list[str]:
        """Open the sockets and begin.

        Raises
        ------
        StartupError
            A target is this collector itself.
        """
        for _, sender in self._targets:
            if is_received_here(sender.target, listen):
                raise StartupError(loop_text(sender.target))
        warnings = []
        for _, sender in self._targets:
            if problem := sender.start():
                warnings.append(own_source_text(sender.target, problem))
        _keep_rights_from_children()
        return warnings

    def take(self, block: DatagramBlock) -> None:
        """Let copies of the datagrams wait for their targets; those of all share one."""
        whole: Piece | None = None
        octets = len(block) * padded_stride(int(block.lengths.max(initial=0)))
        for selector, sender in self._targets:
            rows = selector.rows(block)
            if rows is None:
                if sender.has_room(octets, len(block)):
                    whole = whole or copied(block, slice(None))
                    sender.put(whole)
            elif len(rows):
                longest = int(block.lengths[rows].max())
                if sender.has_room(len(rows) * padded_stride(longest), len(rows)):
                    sender.put(copied(block, rows))

    def figures(self) -> dict[str, dict[str, int]]:
        """Return the counts of each target, by its address."""
        return {str(sender.target): sender.figures() for _, sender in self._targets}

    def stop(self) -> None:
        """Send what waits, for a second in all."""
        for _, sender in self._targets:
            sender.stop(STOP_SECONDS / len(self._targets))


class Selector:
    """Says which datagrams a target gets."""

    def __init__(self, target: Target, seed: int | None = None) -> None:
        self._networks = ExporterNetworks(target.exporters)
        self._sample = target.sample
        self._random = np.random.default_rng(seed)

    def rows(self, block: DatagramBlock) -> NDArray[np.intp] | None:
        """Return the rows of a block that the target gets; None for all."""
        if not self._networks and self._sample == 1:
            return None
        chosen = np.ones(len(block), np.bool_)
        if self._networks:
            chosen = self._networks.contain(block.address_hi, block.address_lo)
        if self._sample > 1:
            # By chance: every n-th could be one exporter's, whose turn always comes then.
            drawn = self._random.integers(0, self._sample, len(block)) == 0
            chosen &= drawn | with_templates(block)
        return np.flatnonzero(chosen)


def with_templates(block: DatagramBlock) -> NDArray[np.bool_]:
    """Tell which datagrams begin with a template: without them samples could not be read."""
    octets = block.octets
    begins = np.zeros(len(block), np.bool_)
    for version, (offset, highest) in _SET_OFFSETS.items():
        if octets.shape[1] < offset + 2:
            continue
        is_long = block.lengths >= offset + 2
        is_version = (octets[:, 0] == 0) & (octets[:, 1] == version)
        is_template = (octets[:, offset] == 0) & (octets[:, offset + 1] <= highest)
        begins |= is_long & is_version & is_template
    return begins


def copied(block: DatagramBlock, rows: NDArray[np.intp] | slice) -> Piece:
    """Return datagrams of a block in memory of their own."""
    lengths = block.lengths[rows].copy()
    longest = int(lengths.max(initial=0))
    octets = np.empty((len(lengths), padded_stride(longest)), np.uint8)
    octets[:, :longest] = block.octets[rows, :longest]
    return Piece(
        octets,
        lengths,
        block.address_hi[rows].copy(),
        block.address_lo[rows].copy(),
        # Taps see what came as datagrams: these have ports, not numbers of connections.
        block.port[rows].astype(np.uint16),
    )


def loop_text(target: ListenAddress) -> str:
    """Say that a target would send everything to itself for ever."""
    return f"{TARGETS.name}: {target} is where this collector receives, expected another one"


def own_source_text(target: ListenAddress, problem: str) -> str:
    """Say that copies do not bear the exporters' addresses."""
    return f"{target} sees this machine as the exporter of everything: to keep addresses {problem}"


def _keep_rights_from_children() -> None:
    """Let no child process inherit the right to raw sockets; prctl(2)."""
    prctl = c_function("prctl", ctypes.c_int, *(ctypes.c_ulong,) * 4)
    if prctl is not None:
        prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
