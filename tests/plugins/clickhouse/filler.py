"""Writes a flow log to ClickHouse until it is killed; started by the tests as a process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from appliance.errors import StorageError
from tests.plugins.clickhouse.world import Place


def main(folder: Path, database: str, cluster: str, addresses: list[str]) -> None:
    """Write in small batches, for ever."""
    loader = Place(addresses, cluster, database).loader(folder)
    loader.batch_rows = 37
    print("ready", flush=True)
    while True:
        try:
            loader.load_once(time.time())
        except StorageError as error:
            print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
