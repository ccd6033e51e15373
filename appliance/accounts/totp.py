"""Time-based one-time passwords (RFC 6238): codes of 6 digits that change every 30 seconds."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

import pyotp

ISSUER = "NetFlow appliance"
STEP_SECONDS = 30
RECOVERY_CODES = 8
_DIGITS = 6
_WINDOW = (0, -1, 1)
"""Steps by which a device's clock may be off, RFC 6238 section 5.2."""

_RECOVERY_GROUPS = 4
_RECOVERY_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_CODE = re.compile(r"[0-9]{6}")


def new_totp_secret() -> str:
    """Return a new secret in base 32: 160 bits, as RFC 4226 section 4 recommends."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, username: str) -> str:
    """Return the `otpauth://` URI that authenticator apps read as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER)


def matching_step(secret: str, code: str, now: float) -> int | None:
    """Return the time step whose code this is, the present one or a neighbour; None when none is.

    Parameters
    ----------
    now
        Seconds UTC.
    """
    if not _CODE.fullmatch(code):
        return None
    totp = pyotp.TOTP(secret, digits=_DIGITS, interval=STEP_SECONDS)
    present = int(now // STEP_SECONDS)
    for step in (max(present + offset, 0) for offset in _WINDOW):
        if hmac.compare_digest(totp.generate_otp(step), code):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Return new codes, each good once in place of one of the device."""
    return [
        "-".join(
            "".join(secrets.choice(_RECOVERY_LETTERS) for _ in range(4))
            for _ in range(_RECOVERY_GROUPS)
        )
        for _ in range(RECOVERY_CODES)
    ]


def recovery_digest(code: str) -> str:
    """Return the digest of a recovery code, however its letters are grouped.

    A plain hash is enough, as nobody can guess 79 random bits.
    """
    letters = re.sub(r"[\s-]", "", code).lower()
    return hashlib.sha256(letters.encode(errors="surrogatepass")).hexdigest()
