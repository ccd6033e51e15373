"""What root saves and puts back in a folder whose owner puts links in its way, and archives that
are made to hurt."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from appliance.accounts.secret import secret_or_new
from appliance.backups import archive as archive_module
from appliance.backups.archive import BackupError, unpack
from appliance.cli.main import group
from appliance.cli.options import run_command_line
from tests.conftest import conf

__all__ = ["conf"]
SERVICE = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root's rights are what is tested")


def appliance(folder: Path, *arguments: object) -> int:
    return run_command_line(group, ["-confPath", f"{folder}/", *map(str, arguments)])


@pytest.fixture
def rooms(conf, tmp_path):
    """A configuration of root's, the data folder of a service, and a file that only root reads."""
    data, only_root = tmp_path / "data", tmp_path / "root"
    for path in (tmp_path, *list(tmp_path.parents)[:-2]):
        path.chmod(0o755)
    only_root.mkdir(mode=0o700)
    (only_root / "shadow").write_text("of root")
    folder = conf(f"data_directory: {data}\nweb.listen: 127.0.0.1:0\n")
    data.mkdir()
    secret_or_new(data / "secret")
    for name in ("appliance.sqlite", "flows.sqlite"):
        with sqlite3.connect(data / name) as database:
            database.execute("CREATE TABLE content (name)")
        database.close()
    give(data)
    return folder, data, only_root


def give(data: Path) -> None:
    for path in (data, *data.rglob("*")):
        os.chown(path, SERVICE, SERVICE, follow_symlinks=False)


def names(file: Path, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    unpack(file, folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@needs_root
@pytest.mark.parametrize("name", ["exporters.json", "evil.conf", "tls/x.pem", "flows.sqlite"])
def test_backup_when_the_service_links_to_files_of_root_then_they_are_not_in_it(
    name, rooms, tmp_path
):
    folder, data, only_root = rooms
    (data / name).unlink(missing_ok=True)
    if "/" in name:
        shutil.copy(only_root / "shadow", only_root / "x.pem")
        (data / "tls").symlink_to(only_root)
    else:
        (data / name).symlink_to(only_root / "shadow")
    give(data)
    file = only_root / "b.tar.zst"
    if appliance(folder, "backup", file) == 0:
        assert all(b"of root" not in text for text in names(file, tmp_path / "seen").values())
    assert file.exists() or not list(only_root.glob("*.part"))


@needs_root
def test_restore_when_the_service_links_to_folders_of_root_then_nothing_is_written_there(
    rooms, tmp_path
):
    folder, data, only_root = rooms
    (data / "tls").mkdir()
    (data / "tls" / "key.pem").write_text("of the service")
    give(data)
    file = only_root / "b.tar.zst"
    assert appliance(folder, "backup", file) == 0
    before = sorted(os.listdir(only_root))
    shutil.rmtree(data / "tls")
    (data / "tls").symlink_to(only_root)
    give(data)
    appliance(folder, "restore", file)
    assert sorted(os.listdir(only_root)) == before


@needs_root
def test_restore_when_by_root_then_files_are_the_services_and_settings_roots(rooms, tmp_path):
    folder, data, only_root = rooms
    file = only_root / "b.tar.zst"
    assert appliance(folder, "backup", file) == 0
    secret = (data / "secret").read_text()
    (data / "secret").unlink()
    (folder / "appliance.yml").chmod(0o640)
    assert appliance(folder, "restore", file, "--with-settings") == 0
    assert (data / "secret").read_text() == secret
    assert (data / "secret").stat().st_uid == SERVICE
    assert (folder / "appliance.yml").stat().st_uid == 0
    assert (os.geteuid(), os.getegid()) == (0, os.getgid())
    assert file.stat().st_uid == 0


def packed(file: Path, files: dict[str, bytes], **changes: object) -> Path:
    import hashlib

    listed = {n: [len(c), hashlib.sha256(c).hexdigest()] for n, c in files.items()}
    manifest = {"version": "0.0.1", "made": "now", "format": 1, "files": listed, **changes}
    content = {"manifest.json": json.dumps(manifest).encode(), **files}
    with (
        pa.output_stream(str(file), compression="zstd") as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        for name, octets in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(octets)
            tar.addfile(entry, io.BytesIO(octets))
    return file


@pytest.mark.parametrize(
    "name",
    ["state/authorized_keys", "settings/x/y.yml", "flowlog/x.so", "other/secret", "state/a/b.conf"],
)
def test_restore_when_it_holds_a_name_that_no_backup_has_then_refused(name, conf, tmp_path, capsys):
    folder = conf(f"data_directory: {tmp_path}/data\nweb.listen: 127.0.0.1:0\n")
    file = packed(tmp_path / "b", {name: b"content"})
    assert appliance(folder, "restore", file, "--with-settings") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"'{name}' does not belong into a backup" in said


@pytest.mark.parametrize(
    "version", ["1" * 5000, "1." * 3000 + "1", "", "x", "\N{FULLWIDTH DIGIT ONE}.2"]
)
def test_restore_when_the_version_is_none_then_one_short_sentence(version, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(BackupError, match="version") as raised:
        unpack(packed(tmp_path / "b", {}, version=version), tmp_path / "out")
    assert len(str(raised.value)) < 300


def test_restore_when_it_needs_more_than_is_free_then_refused_before_it_is_unpacked(
    tmp_path, monkeypatch
):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(
        archive_module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 9)
    )
    file = packed(tmp_path / "b", {"state/secret": b"ten octets"})
    with pytest.raises(BackupError, match=r"needs 10 octets in .*, 9 are free"):
        unpack(file, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("first", [True, False])
def test_restore_when_more_comes_out_than_the_manifest_says_then_refused_early(first, tmp_path):
    """A header that announces 60 MB of names is read into memory by the reader of tar files."""
    bomb = tarfile.TarInfo("x")
    bomb.type, bomb.size = tarfile.XHDTYPE, 60_000_000
    header = bomb.tobuf(tarfile.USTAR_FORMAT) + bytes(bomb.size)
    file = packed(tmp_path / "b", {"state/secret": b"x"})
    with pa.input_stream(str(file), compression="zstd") as stream:
        sound = stream.read()
    at = 0 if first else 1024
    with pa.output_stream(str(tmp_path / "b"), compression="zstd") as stream:
        stream.write(sound[:at] + header + sound[at:])
    (tmp_path / "out").mkdir()
    with pytest.raises(BackupError, match=r"more comes out of it|no manifest"):
        unpack(tmp_path / "b", tmp_path / "out")
