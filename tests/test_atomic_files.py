"""Files that are replaced as a whole."""

from __future__ import annotations

import os
import threading

import pytest

from appliance.atomic_files import PRIVATE, atomic_write

AS_ROOT = os.geteuid() == 0


def write(path, content: bytes, *options, **named) -> None:
    with atomic_write(path, *options, **named) as file:
        file.write(content)


def write_half(path, error: type[BaseException]) -> None:
    with atomic_write(path) as file:
        file.write(b"half")
        raise error


def mode(path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("durable", [False, True])
def test_replacing_when_written_then_new_content_and_nothing_beside(tmp_path, durable):
    path = tmp_path / "status.json"
    write(path, b"old")
    write(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_replacing_when_the_block_fails_then_all_is_as_it_was(tmp_path, error):
    path = tmp_path / "status.json"
    write(path, b"old")
    with pytest.raises(error):
        write_half(path, error)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_when_private_then_never_readable_for_others(tmp_path):
    path = tmp_path / "key.pem"
    with atomic_write(path, PRIVATE) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
    assert mode(path) == 0o600


def test_replacing_when_kept_then_the_old_mode_stays(tmp_path):
    path = tmp_path / "collector.conf"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write(path, b"new", PRIVATE, keep=True)
    assert mode(path) == 0o640


def test_replacing_when_nothing_to_keep_then_the_mode_that_was_asked_for(tmp_path):
    path = tmp_path / "collector.conf"
    write(path, b"new", PRIVATE, keep=True)
    assert mode(path) == 0o600


@pytest.mark.skipif(not AS_ROOT, reason="only root gives files away")
def test_replacing_when_root_then_owner_of_the_old_one_or_of_the_folder(tmp_path):
    path = tmp_path / "collector.conf"
    os.chown(tmp_path, 1234, 1235)
    write(path, b"new", PRIVATE, keep=True)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
    os.chown(path, 1236, 1237)
    write(path, b"newer", PRIVATE, keep=True)
    assert (path.stat().st_uid, path.stat().st_gid) == (1236, 1237)


def test_replacing_when_a_link_is_there_then_what_it_leads_to_stays(tmp_path):
    other, path = tmp_path / "shadow", tmp_path / "secret"
    other.write_bytes(b"theirs")
    path.symlink_to(other)
    write(path, b"ours", keep=True)
    assert other.read_bytes() == b"theirs"
    assert path.read_bytes() == b"ours"


def test_replacing_when_it_fails_then_the_error_names_the_file_and_is_the_same_each_time(tmp_path):
    path = tmp_path / "missing" / "status.json"
    texts = set()
    for _ in range(3):
        with pytest.raises(FileNotFoundError) as failure:
            write(path, b"new")
        texts.add(str(failure.value))
    assert texts == {f"[Errno 2] No such file or directory: '{path}'"}
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder'$"):
        write(tmp_path / "folder", b"new")


def test_replacing_when_several_write_at_once_then_one_of_them_whole(tmp_path):
    path = tmp_path / "status.json"
    contents = [bytes([letter]) * 200_000 for letter in b"abcdefgh"]
    write(path, contents[0])
    seen = set()

    def write_often(content: bytes) -> None:
        for _ in range(20):
            write(path, content)

    threads = [threading.Thread(target=write_often, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.add(path.read_bytes())
    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]
