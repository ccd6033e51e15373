"""How memory comes from the kernel."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from appliance.collector.memory import few_cycle_searches

PROGRAM = """
from appliance.collector.memory import refuse_huge_pages
refuses = refuse_huge_pages()
print(refuses, *[line for line in open("/proc/self/status") if line.startswith("THP_enabled")])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl(2) is Linux's")
def test_huge_pages_when_refused_then_the_kernel_gives_none() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert printed[0] == "True"
    assert printed[1:] in (["THP_enabled:", "0"], [])


def test_searches_when_the_work_is_over_then_the_collector_frees_everything_again() -> None:
    """What it does not free at the end of Python, libraries print as leaked."""
    before = gc.get_threshold()
    with few_cycle_searches():
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
