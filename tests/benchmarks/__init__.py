"""Measurements, next to nfcapd where that is installed; `python -m tests.benchmarks --help`.

Not collected by pytest. Load goes to the loopback network only, and every part is bounded in time.
"""
