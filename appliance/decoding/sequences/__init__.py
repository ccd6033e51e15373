"""Sequence numbers: who sent what, what was lost, who restarted."""
