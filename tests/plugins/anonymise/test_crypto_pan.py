"""Crypto-PAn: the samples of its authors, a plain implementation, and that prefixes are kept."""

from __future__ import annotations

import ipaddress
from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.flows import address_halves, address_text
from appliance.plugins.anonymise.address_map import CACHE_BITS, AddressMap
from appliance.plugins.anonymise.anonymise_settings import EVERYTHING, outermost
from appliance.plugins.anonymise.crypto_pan import CryptoPan
from appliance.plugins.anonymise.single_addresses import original_of, replaced_of

KEY = bytes(
    [
        *(21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16),
        *(216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2),
    ]
)
"""Of sample.cpp in the authors' Crypto-PAn 1.0."""

SAMPLES = {
    "128.11.68.132": "135.242.180.132",
    "129.118.74.4": "134.136.186.123",
    "130.132.252.244": "133.68.164.234",
    "141.223.7.43": "141.167.8.160",
    "141.233.145.108": "141.129.237.235",
    "152.163.225.39": "151.140.114.167",
    "156.29.3.236": "147.225.12.42",
    "165.247.96.84": "162.9.99.234",
    "166.107.77.190": "160.132.178.185",
    "192.102.249.13": "252.138.62.131",
    "192.215.32.125": "252.43.47.189",
    "192.233.80.103": "252.25.108.8",
    "192.41.57.43": "252.222.221.184",
}
"""Of sample_trace_raw.dat and sample_trace_sanitized.dat beside it."""

PAN = CryptoPan(KEY)
WHOLE = AddressMap(PAN, EVERYTHING)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def plain_flips(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    """Return the flips of all bits, one after the other as in the paper."""
    cipher = Cipher(algorithms.AES(KEY[:16]), modes.ECB())
    pad = int.from_bytes(cipher.encryptor().update(KEY[16:]))
    n_bits, flips = address.max_prefixlen, 0
    padded = int(address) << (128 - n_bits)
    for place in range(n_bits):
        keep = ((1 << place) - 1) << (128 - place)
        block = (padded & keep) | (pad & ~keep & (1 << 128) - 1)
        flips = flips << 1 | cipher.encryptor().update(block.to_bytes(16))[0] >> 7
    return flips


@pytest.mark.parametrize(("address", "replaced"), SAMPLES.items())
def test_samples_when_replaced_then_as_the_authors_say(address: str, replaced: str) -> None:
    assert replaced_of(WHOLE, address) == replaced
    assert original_of(WHOLE, replaced) == address


def test_ipv6_when_replaced_then_as_yacryptopan_says() -> None:
    assert replaced_of(WHOLE, "2001:db8::1") == "4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e"


@settings(max_examples=60)
@given(addresses)
def test_address_when_replaced_then_as_bit_by_bit(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    text = address_text(*address_halves(str(address)))
    if not int(address) or (address.version == 6 and address.ipv4_mapped):
        return
    assert int(ip_address(replaced_of(WHOLE, text))) == int(address) ^ plain_flips(address)


@settings(max_examples=60)
@given(addresses, st.integers(0, 128), st.data())
def test_addresses_when_they_share_a_prefix_then_what_stands_for_them_shares_as_much(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int, data: st.DataObject
) -> None:
    n_bits = one.max_prefixlen
    other = data.draw(st.integers(0, (1 << n_bits) - 1))
    length = min(length, n_bits)
    host = (1 << (n_bits - length)) - 1
    second = type(one)((int(one) & ~host) | (other & host))
    if any(not int(a) or (a.version == 6 and a.ipv4_mapped) for a in (one, second)):
        return
    new = [int(ip_address(replaced_of(WHOLE, str(address)))) for address in (one, second)]
    common = n_bits - (int(one) ^ int(second)).bit_length()
    assert n_bits - (new[0] ^ new[1]).bit_length() == common
    assert ip_address(original_of(WHOLE, str(type(one)(new[0])))) == one


def test_network_when_it_is_named_then_its_addresses_stay_in_it_and_others_as_they_are() -> None:
    texts = ("10.1.0.0/16", "10.2.0.0/15", "10.2.0.0/16", "2001:db8::/32", "10.1.0.0/16")
    networks = outermost(map(ip_network, texts))
    assert len(networks) == 3
    some = AddressMap(PAN, networks)
    for address, network in (
        ("10.2.3.4", networks[0]),
        ("10.1.3.4", networks[1]),
        ("2001:db8:1::4", networks[2]),
    ):
        replaced = ip_address(replaced_of(some, address))
        assert replaced in network
        assert str(replaced) != address
        assert original_of(some, str(replaced)) == address
        # What changes does so as without networks.
        host = int(network.hostmask)
        assert int(replaced) & host == int(ip_address(replaced_of(WHOLE, address))) & host
    for address in ("192.0.2.1", "10.4.0.1", "2001:db9::1"):
        assert replaced_of(some, address) == address


@pytest.mark.parametrize("nothing", ["0.0.0.0", "::"])
def test_address_when_it_says_that_there_is_none_then_it_stays(nothing: str) -> None:
    assert replaced_of(WHOLE, nothing) == nothing


def test_ipv4_when_only_ipv6_is_named_then_it_stays() -> None:
    six = AddressMap(PAN, [ip_network("::/0")])
    assert replaced_of(six, "192.0.2.1") == "192.0.2.1"
    assert replaced_of(six, "2001:db8::1") == replaced_of(WHOLE, "2001:db8::1")


def test_map_when_it_remembers_then_answers_are_those_of_the_cipher() -> None:
    rng = np.random.default_rng(3)
    table = AddressMap(PAN, EVERYTHING)
    for _ in range(6):
        # Far more addresses than there are places, some again and again.
        n = 1 << (CACHE_BITS - 3)
        lo = rng.integers(0, 5000, n).astype(np.uint64) | np.uint64(0xFFFF_0A00_0000)
        strangers = rng.integers(0, 1 << 32, n, np.uint64) | np.uint64(0xFFFF_0000_0000)
        lo = np.where(rng.random(n) < 0.5, lo, strangers)
        hi = np.zeros_like(lo)
        hi[::50], lo[::50] = rng.integers(1, 90, len(hi[::50])), rng.integers(0, 90, len(hi[::50]))
        new_hi, new_lo = table.replace(hi, lo)
        chosen = rng.integers(0, n, 300)
        expected = table.computed(hi[chosen], lo[chosen])
        assert (new_hi[chosen] == expected[0]).all()
        assert (new_lo[chosen] == expected[1]).all()
    assert all(way._known.shape == (2, 1 << CACHE_BITS) for way in table._ways)
