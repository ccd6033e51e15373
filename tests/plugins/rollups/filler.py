"""Loads what is in a flow log until it is killed; started by the tests as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from appliance.errors import StorageError
from appliance.plugins.rollups.configuration import SETTINGS, StoreLimits
from appliance.plugins.rollups.store import SqlStore
from appliance.settings.file import SettingsFile


def main(folder: Path, url: str, now: float) -> None:
    """Load in small pieces, for ever."""
    tree: dict[str, object] = {"data_directory": str(folder), "flows": {"database": url}}
    if url.startswith("mysql"):
        tree["database"] = url
    settings = SettingsFile(None, folder / "conf", tree).settings(SETTINGS)
    limits = StoreLimits(top=20, top_per_exporter=5, provisional_seconds=0)
    store = SqlStore(url, settings, limits)
    store.loader.piece_rows = 23
    print("ready", flush=True)
    while True:
        try:
            store.load_once(now)
        except StorageError as error:
            print(error, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
