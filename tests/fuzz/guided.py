"""Fuzz one target, guided by coverage: `python -m tests.fuzz.guided TARGET SECONDS FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["appliance"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until the time is over or something is raised; what raised it stays in the folder."""
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    target, corpus = TARGETS[name], folder / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number:04}").write_bytes(seed[: target.max_octets])
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.max_octets}",
        f"-artifact_prefix={folder}/{name}-",
        "-timeout=60",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
