"""Passwords: bcrypt hashes, checked in the same time whether there is a user or not."""

from __future__ import annotations

import bcrypt

MOST_OCTETS = 72
"""What bcrypt looks at; a longer password is refused, not cut."""


def hash_password(password: str, cost: int) -> str:
    """Return the bcrypt hash of a password; each step of `cost` doubles the time."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode("ascii")


def is_password(password: str, stored: str) -> bool:
    """Tell whether this is the password of a hash; takes the time of that hash in any case."""
    octets = password.encode(errors="surrogatepass")
    try:
        equal = bcrypt.checkpw(octets[:MOST_OCTETS], stored.encode())
    except ValueError:
        return False
    return equal and len(octets) <= MOST_OCTETS


def nobodys_hash(cost: int) -> str:
    """Return a hash that no password has, to be checked where there is no user."""
    return f"$2b${cost:02}${'.' * 53}"


def cost_of(stored: str) -> int | None:
    """Return the cost of a hash, None when it is none."""
    parts = stored.split("$")
    return int(parts[2]) if len(parts) == 4 and parts[2].isdecimal() else None
