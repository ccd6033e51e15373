"""NetFlow appliance: receives NetFlow v5, v9 and IPFIX, stores flows, answers questions."""

__version__ = "0.1.0"
