"""Puts layers together to one file: an OCI image layout in a tar, which `docker load` reads, too.

References
----------
OCI image specification 1.1, "Image Layout", "Image Manifest", "Image Index". `manifest.json` beside
them is what Docker before version 25 looks for; newer ones write both, as here.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from image.configuration import NAME, Image, configuration
from image.layers import Layer

_TYPE = "application/vnd.oci.image"
_BLOBS = "blobs/sha256"


def write_archive(folder: Path, image: Image, layers: Sequence[Layer]) -> Path:
    """Write the image; it appears when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{NAME}_{image.version}_{image.architecture}.oci.tar"
    beside = target.with_suffix(".partial")
    files: dict[str, bytes | Path] = {f"{_BLOBS}/{each.digest}": each.file for each in layers}
    files |= _texts(image, layers)
    with tarfile.open(beside, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("blobs", _BLOBS):
            archive.addfile(_entry(name, image.epoch, tarfile.DIRTYPE, 0o755))
        for name, content in sorted(files.items()):
            _add(archive, name, content, image.epoch)
    return beside.rename(target)


def _texts(image: Image, layers: Sequence[Layer]) -> dict[str, bytes]:
    """Return everything but the layers, by its name in the layout."""
    settings = _json(configuration(image, layers))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}.manifest.v1+json",
            "config": _descriptor("config.v1+json", settings),
            "layers": [
                _descriptor("layer.v1.tar+gzip", each.digest, each.file.stat().st_size)
                for each in layers
            ],
            "annotations": image.labels(),
        }
    )
    version, _ = image.tags
    named = _descriptor("manifest.v1+json", manifest) | {
        # Docker reads the first, podman and skopeo the second.
        "annotations": {
            "io.containerd.image.name": version,
            "org.opencontainers.image.ref.name": version,
        },
        "platform": {"architecture": image.architecture, "os": "linux"},
    }
    index = {"schemaVersion": 2, "mediaType": f"{_TYPE}.index.v1+json", "manifests": [named]}
    docker = {
        "Config": _blob(settings),
        "RepoTags": list(image.tags),
        "Layers": [f"{_BLOBS}/{each.digest}" for each in layers],
    }
    return {
        _blob(settings): settings,
        _blob(manifest): manifest,
        "index.json": _json(index),
        "manifest.json": _json([docker]),
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
    }


def _descriptor(kind: str, content: bytes | str, size: int = 0) -> dict[str, Any]:
    """Describe a blob by its octets, or by their SHA-256 and their number."""
    if isinstance(content, bytes):
        content, size = hashlib.sha256(content).hexdigest(), len(content)
    return {"mediaType": f"{_TYPE}.{kind}", "digest": f"sha256:{content}", "size": size}


def _blob(octets: bytes) -> str:
    return f"{_BLOBS}/{hashlib.sha256(octets).hexdigest()}"


def _json(value: Mapping[str, Any] | Sequence[Any]) -> bytes:
    return json.dumps(value, indent=2).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes | Path, epoch: int) -> None:
    entry = _entry(name, epoch)
    with ExitStack() as opened:
        if isinstance(content, Path):
            entry.size = content.stat().st_size
            archive.addfile(entry, opened.enter_context(content.open("rb")))
        else:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def _entry(
    name: str, epoch: int, kind: bytes = tarfile.REGTYPE, mode: int = 0o644
) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, mode, epoch
    return entry
