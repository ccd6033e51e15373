"""Fills tables of pmacct until it is killed; started by the tests as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from appliance.errors import StorageError
from appliance.plugins.pmacct.configuration.reading import read_effective
from appliance.plugins.pmacct.tables.loader import PmacctLoader


def main(config: Path, log: Path, now: float) -> None:
    """Sum up small pieces and purge after each, for ever."""
    loader = PmacctLoader(read_effective(config), log)
    loader.load_once(now)
    for follower in loader.followers or ():
        follower.piece_rows = 17
    print("ready", flush=True)
    while True:
        now += 1
        try:
            loader.load_once(now)
        except StorageError as error:
            print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
