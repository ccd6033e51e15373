"""What takes out of batches of flows what must not be kept."""

from __future__ import annotations

from collections.abc import Callable

from appliance.flows import FlowBatch

Redactor = Callable[[FlowBatch], FlowBatch]
"""Returns the same records in the same order without what must not be written. Must not block.

The old batch's arrays cannot be written into; columns may be left out and octets emptied. A batch
that a redactor fails on is not kept: what must not be written is not, whatever else is lost.
"""
