"""The way of one block through the code: how many functions and files a reader has to follow."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import appliance
from appliance.traffic.generator import PROTOCOLS
from tests.benchmarks.decode import CountingSink, decoding, received_blocks

ROOT = Path(appliance.__file__).parent


def walk() -> dict[str, Any]:
    """Return, by protocol, the way of a block whose templates and layouts are known."""
    return {protocol: _way_of(protocol) for protocol in PROTOCOLS}


def _way_of(protocol: str) -> dict[str, Any]:
    calls = _calls(protocol)
    decoding_calls = [call for call in calls if call[0].startswith("decoding/")]
    return {"decoding": _figures(decoding_calls), "whole": _figures(calls)}


def _calls(protocol: str) -> list[tuple[str, str]]:
    """Return file and function of each call of ours; comprehensions are part of their function."""
    now_ms = time.time_ns() // 1_000_000
    *earlier, last = received_blocks(protocol, now_ms)
    take = decoding(CountingSink())
    for block in earlier:
        take(block, now_ms)
    calls: list[tuple[str, str]] = []

    def note_call(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        is_ours = event == "call" and Path(code.co_filename).is_relative_to(ROOT)
        if is_ours and not (code.co_name.startswith("<") and code.co_name != "<lambda>"):
            calls.append((Path(code.co_filename).relative_to(ROOT).as_posix(), code.co_qualname))

    sys.setprofile(note_call)
    try:
        take(last, now_ms)
    finally:
        sys.setprofile(None)
    return calls


def _figures(calls: list[tuple[str, str]]) -> dict[str, int]:
    return {
        "functions": len(set(calls)),
        "files": len({file for file, _ in calls}),
        "calls": len(calls),
        "changes_of_file": sum(one[0] != other[0] for one, other in pairwise(calls)),
    }
