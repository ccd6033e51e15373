"""Users of SNMP version 3 (RFC 3414): the names of protocols in settings, and a user for pysnmp."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

AUTH_PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "md5": "USM_AUTH_HMAC96_MD5",
        "sha": "USM_AUTH_HMAC96_SHA",
        "sha224": "USM_AUTH_HMAC128_SHA224",
        "sha256": "USM_AUTH_HMAC192_SHA256",
        "sha384": "USM_AUTH_HMAC256_SHA384",
        "sha512": "USM_AUTH_HMAC384_SHA512",
    }
)
PRIVACY_PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "des": "USM_PRIV_CBC56_DES",
        "aes": "USM_PRIV_CFB128_AES",
        "aes192": "USM_PRIV_CFB192_AES_BLUMENTHAL",
        "aes256": "USM_PRIV_CFB256_AES_BLUMENTHAL",
        "aes192c": "USM_PRIV_CFB192_AES",
        "aes256c": "USM_PRIV_CFB256_AES",
    }
)
"""Names and what pysnmp calls them; those with a c are Cisco's."""

MIN_KEY_LETTERS = 8
"""Of a password (RFC 3414 section 11.2)."""


def user_data(user: str, auth: tuple[str, str], privacy: tuple[str, str], **options: Any) -> Any:
    """Return a user for pysnmp.

    Parameters
    ----------
    auth, privacy
        Name of the protocol and password; without a password it is not used.
    """
    from pysnmp.hlapi.v3arch import asyncio as hlapi

    (auth_name, auth_key), (privacy_name, privacy_key) = auth, privacy
    if auth_key:
        options["authProtocol"] = getattr(hlapi, AUTH_PROTOCOLS[auth_name])
    if privacy_key:
        options["privProtocol"] = getattr(hlapi, PRIVACY_PROTOCOLS[privacy_name])
    return hlapi.UsmUserData(user, authKey=auth_key or None, privKey=privacy_key or None, **options)
