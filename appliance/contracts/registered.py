"""Who registered what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

THE_CORE = "the appliance itself"
"""Stands in a plugin's place for what the core has of its own."""


@dataclass(frozen=True, slots=True)
class Registered(Generic[T]):
    """Something that a plugin registered, with that plugin's name for logs and counters."""

    plugin: str
    value: T
