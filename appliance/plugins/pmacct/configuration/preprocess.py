"""`sql_preprocess` and `print_preprocess`: which aggregates of a purge are written.

As nfacctd 1.7.7 does: checks on the sums of each aggregate, of which any, or all with
`sql_preprocess_type: all`, have to hold. What sums at random (fss, fsrc) is not offered. `recover`
hands what the checks refuse to `sql_recovery_backup_host`; without one it does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PRINT_CHECKS = ("minp", "minf", "minb", "minbpp", "minppf")
SQL_CHECKS = (*PRINT_CHECKS, "maxp", "maxf", "maxb", "maxbpp", "maxppf")
ACTIONS = ("usrf", "adjb")
NOT_OFFERED = ("fss", "fsrc")
RECOVER = "recover"
_PRINT_WORDS = (*PRINT_CHECKS, "maxp", "maxf", "maxb")
_SQL_WORDS = (*SQL_CHECKS, *ACTIONS, *NOT_OFFERED, RECOVER, "qnum")
_LARGEST_RATIO = 1 << 16

Sums = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What is asked of aggregates.

    Attributes
    ----------
    checks
        Limits by name; `min` is kept at and above, `max` below.
    renormalize, octets_a_packet
        `usrf`, by which sums are multiplied, and `adjb`, which is added for each packet.
    least_rows
        `qnum`: a purge of no more rows is written as it is.
    every
        All checks have to hold, not any.
    """

    checks: Mapping[str, int] = field(default_factory=dict)
    renormalize: int = 0
    octets_a_packet: int = 0
    least_rows: int = 0
    every: bool = False

    def applies(self, n_rows: int) -> bool:
        """Tell whether a purge of so many rows is looked at."""
        return bool(self.checks or self.renormalize or self.octets_a_packet) and (
            n_rows > self.least_rows or not self.least_rows
        )

    def mask(self, octets: Sums, packets: Sums, flows: Sums) -> NDArray[np.bool_]:
        """Return which aggregates are written; without flows nothing is known of their packets."""
        if not self.checks:
            return np.ones(len(octets), np.bool_)
        sums = {
            "p": packets,
            "f": flows,
            "b": octets,
            "bpp": octets // np.maximum(packets, 1),
            "ppf": packets // np.maximum(flows, 1),
        }
        passed = []
        for name, limit in self.checks.items():
            if name.endswith("ppf") and not flows.any():
                continue
            values = sums[name[3:]]
            passed.append(values >= limit if name.startswith("min") else values < limit)
        if not passed:
            return np.full(len(octets), self.every)
        valid: NDArray[np.bool_] = (np.all if self.every else np.any)(passed, axis=0)
        return valid

    def adjust(self, octets: Sums, packets: Sums) -> tuple[Sums, Sums]:
        """Return the sums of what is written; nfacctd keeps the octets of a packet in 16 bits."""
        if self.renormalize:
            ratio = octets // np.maximum(packets, 1) % _LARGEST_RATIO
            octets = octets * self.renormalize
            packets = np.where(ratio > 0, octets // np.maximum(ratio, 1), packets)
        return octets + packets * self.octets_a_packet, packets


def parse_preprocess(text: str, kind: str, printed: bool) -> tuple[Preprocess, list[str]]:
    """Read the two keys.

    Returns
    -------
    tuple
        What is asked, and nfacctd's words about what it ignores.
    """
    problems: list[str] = []
    values: dict[str, int] = {}
    for entry in filter(None, "".join(text.split()).split(",")):
        name, equals, value = entry.partition("=")
        name = name.lower()
        if not equals:
            return Preprocess(), [*problems, "preprocess: malformed input string. Ignored."]
        if name not in (_PRINT_WORDS if printed else _SQL_WORDS):
            problems.append(f"preprocess: unknown keyword {name}. Ignored.")
        elif not (value.isascii() and value.isdigit() and int(value)):
            problems.append(f"preprocess: invalid '{name}' value.")
        else:
            values[name] = int(value)
    known = PRINT_CHECKS if printed else SQL_CHECKS
    if values and not set(values).intersection((*_PRINT_WORDS, *known, *ACTIONS, *NOT_OFFERED)):
        return Preprocess(), [*problems, "preprocess: does not contain any checks. Ignored."]
    checks = {name: value for name, value in values.items() if name in known}
    every = kind.lower() == "all"
    renormalize, octets, least_rows = (values.get(name, 0) for name in (*ACTIONS, "qnum"))
    return Preprocess(checks, renormalize, octets, least_rows, every), problems


def unsupported_words(text: str, has_backup: bool) -> list[str]:
    """Return the words of `sql_preprocess` that change rows and are not acted upon.

    Parameters
    ----------
    has_backup
        There is a `sql_recovery_backup_host`.
    """
    words = {entry.partition("=")[0].strip().lower() for entry in text.split(",")}
    refused = (*NOT_OFFERED, RECOVER) if has_backup else NOT_OFFERED
    return [word for word in refused if word in words]
