"""Each target over its seeds, and over what a few thousand small changes make of them."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS

CHANGES = 300


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_target_when_seeds_are_changed_then_holds(name: str) -> None:
    target, chance = TARGETS[name], random.Random(name)
    seeds = target.seeds()
    assert seeds
    for seed in seeds[:60]:
        target.run(seed)
    target.run(b"")
    for _ in range(CHANGES):
        target.run(changed(bytearray(chance.choice(seeds)), chance))


def changed(octets: bytearray, chance: random.Random) -> bytes:
    """Change, cut, repeat or insert a few octets."""
    for _ in range(chance.choice((1, 2, 8))):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(5):
            case 0 if octets:
                octets[at % len(octets)] ^= 1 << chance.randrange(8)
            case 1:
                octets[at:at] = bytes(chance.choices(range(256), k=chance.choice((1, 2, 4, 40))))
            case 2:
                del octets[at : at + chance.choice((1, 2, 4, 40))]
            case 3 if octets:
                octets[at % len(octets)] = chance.choice((0, 1, 127, 128, 255, 10, 34, 39, 92))
            case _:
                octets[at:at] = octets[: chance.randrange(len(octets) + 1)][:200]
    return bytes(octets)
