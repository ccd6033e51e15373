"""A loader that is killed at any moment: the tables hold every flow once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter

import pytest

ROUNDS = int(os.environ.get("APPLIANCE_SOAK_ROUNDS", "6"))
CONFIG = """\
sql_optimize_clauses: true
sql_refresh_time: 1
nfacctd_account_options: true
aggregate[added]: src_port
sql_table[added]: added
aggregate[inserted]: src_port
sql_table[inserted]: inserted
sql_dont_try_update[inserted]: true
sql_history[inserted]: 1m
"""


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_tables_when_the_loader_is_killed_at_any_moment_then_every_flow_once(world):
    world.configure(CONFIG, "KIND[added], KIND[inserted]")
    dice = random.Random(5)
    expected: Counter[int] = Counter()
    for number in range(ROUNDS):
        command = [sys.executable, "-m", "tests.plugins.pmacct.filler"]
        arguments = [str(world.folder / "c.conf"), str(world.log), str(world.now)]
        filler = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        try:
            assert filler.stdout is not None
            assert filler.stdout.readline() == "ready\n"
            end = time.monotonic() + dice.uniform(0.02, 0.6)
            while time.monotonic() < end:
                ports = [dice.randrange(20) for _ in range(50)]
                octets = [dice.randrange(1, 9000) for _ in ports]
                world.flows(50, source_transport_port=ports, octet_delta_count=octets)
                for port, n in zip(ports, octets, strict=True):
                    expected[port] += n
                if dice.random() < 0.3:
                    world.options(2)
                time.sleep(0.01)
        finally:
            filler.kill()
            filler.communicate()
        world.now += 100 * (number + 1)
    world.purge()
    # Options records have port 0 and count nothing.
    for table in ("added", "inserted"):
        found = world.sql(f"SELECT src_port, sum(bytes) FROM {table} GROUP BY src_port")
        assert dict(found) == {0: 0, **expected}
