"""Servers that are closed after each test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.plugins.stream.world import LineServer


@pytest.fixture
def servers() -> Iterator[Callable[..., LineServer]]:
    with contextlib.ExitStack() as stack:

        def make(*args: Any) -> LineServer:
            made = LineServer(*args)
            stack.callback(made.close)
            return made

        yield make
