"""What adds columns to batches of flows."""

from __future__ import annotations

from collections.abc import Callable

from appliance.flows import FlowBatch

Enricher = Callable[[FlowBatch], FlowBatch | None]
"""Adds columns to a batch: returns a new one, or None to leave it as it is. Must not block.

The new batch has the same records in the same order, and every column that the old one had; the old
one's arrays cannot be written into. A result that does not fit is counted, and the batch goes on as
it was.
"""
