from __future__ import annotations

import base64
import re

import pytest

from appliance.accounts.totp import (
    matching_step,
    new_recovery_codes,
    new_totp_secret,
    provisioning_uri,
    recovery_digest,
)

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("moment", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_code_when_of_rfc_6238_appendix_b_then_its_step_within_one_step(moment, code):
    """Appendix B has eight digits; six are the last ones (RFC 4226 section 5.3)."""
    step = moment // 30
    near = [matching_step(RFC_SECRET, code, moment + 30 * off) for off in (-2, -1, 0, 1, 2)]
    assert near == [None, step, step, step, None]


@pytest.mark.parametrize("code", ["", "28708", "2870820", " 287082", "٢٨٧٠٨٢", "28708\n", "x" * 9])
def test_code_when_it_is_none_then_no_step(code):
    assert matching_step(RFC_SECRET, code, 59) is None


def test_recovery_codes_when_made_then_eight_and_known_however_they_are_typed():
    codes = new_recovery_codes()
    assert len(set(codes)) == 8
    assert all(re.fullmatch("[a-z2-9]{4}(-[a-z2-9]{4}){3}", code) for code in codes)
    assert recovery_digest(codes[0].upper().replace("-", " ")) == recovery_digest(codes[0])
    assert recovery_digest(codes[0]) != recovery_digest(codes[1])
    assert len(recovery_digest("\udc80")) == 64


def test_uri_when_made_then_apps_read_name_and_secret():
    secret = new_totp_secret()
    uri = provisioning_uri(secret, "ann")
    assert uri.startswith("otpauth://totp/NetFlow%20appliance:ann?")
    assert f"secret={secret}" in uri
