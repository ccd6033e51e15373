from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.accounts.secret import SECRET_OCTETS, read_secret, rotate_secret, secret_or_new
from appliance.errors import StartupError


def test_secret_when_first_used_then_made_for_the_owner_only_and_kept(tmp_path):
    path = tmp_path / "var" / "secret"
    before = os.umask(0)
    try:
        secret = secret_or_new(path)
    finally:
        os.umask(before)
    assert len(secret) == SECRET_OCTETS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret_or_new(path) == read_secret(path) == secret
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_secret_when_many_make_it_at_once_then_all_have_the_same(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret_or_new(tmp_path / "secret"), range(32)))
    assert len(found) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("content", ["", "short", "ab" * 16, "zz" * 32, "\xff"])
def test_secret_when_the_file_is_no_secret_then_never_used_and_never_replaced(tmp_path, content):
    path = tmp_path / "secret"
    path.write_text(content)
    assert read_secret(path) is None
    with pytest.raises(StartupError, match="cannot be read as a secret: make it readable, or dele"):
        secret_or_new(path)
    assert path.read_text() == content


def test_secret_when_it_cannot_be_written_then_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"file/secret cannot be written: "):
        secret_or_new(tmp_path / "file" / "secret")


def test_secret_when_rotated_then_another_for_the_owner_only(tmp_path):
    path = tmp_path / "secret"
    before = secret_or_new(path)
    rotate_secret(path)
    assert read_secret(path) not in (None, before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("damaged")
    rotate_secret(path)
    assert read_secret(path) is not None
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
