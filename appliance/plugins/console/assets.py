"""What the browser loads: every file of `static/`, read once, compressed once, under one version.

The version is a digest of all files, so each may be kept for ever, and a page never mixes two
releases. Imports are relative, or names of the import map.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from appliance import Answer, Page
from appliance.web.start_page import LINKS

ROOT = f"{LINKS['console'][0]}v/"
PLUGIN_PAGES = "plugin-pages/"

IMPORTS: Mapping[str, str] = {
    "console": "console.js",
    "preact": "vendor/preact.js",
    "preact/hooks": "vendor/hooks.js",
    "htm": "vendor/htm.js",
    "uplot": "vendor/uplot.js",
    "d3-sankey": "vendor/d3-sankey.js",
}
"""By bare name: the file."""

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
}
_PRELOADED = ("main.js", "console.js", "parts/", "pages/overview.js", "vendor/preact.js")
_LEAST_COMPRESSED = 600


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and compressed."""

    octets: bytes
    gzipped: bytes | None
    content_type: str


class Assets:
    """All files of the console and of the pages of plugins.

    Parameters
    ----------
    sources
        By name below the version: the octets.
    pages
        Of plugins; their modules are served beside the console's.
    """

    def __init__(self, sources: Mapping[str, bytes], pages: tuple[Page, ...] = ()) -> None:
        modules = {_module_name(page): page.script.encode() for page in pages}
        named = sorted({**sources, **modules}.items())
        digest = hashlib.blake2b(digest_size=8)
        for name, octets in named:
            digest.update(name.encode() + b"\0" + octets + b"\0")
        self.version = digest.hexdigest()
        self._assets = {name: _asset(name, octets) for name, octets in named}
        self._document = self._build_document()

    def url(self, page: Page) -> str:
        """Return where a plugin's page is served."""
        return f"{ROOT}{self.version}/{_module_name(page)}"

    def answer(self, version: str, name: str, *, accepts_gzip: bool) -> Answer:
        """Return a file; 404 for one that there is not, or of another version."""
        asset = self._assets.get(name)
        if asset is None or version != self.version:
            return Answer({"success": False, "message": "Not found"}, 404)
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        if asset.gzipped is None:
            return Answer(asset.octets, content_type=asset.content_type, headers=headers)
        headers["Vary"] = "Accept-Encoding"
        if not accepts_gzip:
            return Answer(asset.octets, content_type=asset.content_type, headers=headers)
        headers["Content-Encoding"] = "gzip"
        return Answer(asset.gzipped, content_type=asset.content_type, headers=headers)

    def document(self) -> Answer:
        """Return the HTML of every page."""
        return self._document

    def _build_document(self) -> Answer:
        base = f"{ROOT}{self.version}/"
        import_map = json.dumps({"imports": {name: base + at for name, at in IMPORTS.items()}})
        preloads = "".join(
            f'<link rel="modulepreload" href="{base}{name}">'
            for name in self._assets
            if name.endswith(".js") and name.startswith(_PRELOADED)
        )
        text = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            "<title>NetFlow appliance</title>"
            f'<link rel="icon" href="{base}icon.svg" type="image/svg+xml">'
            f'<link rel="stylesheet" href="{base}console.css">'
            f'<script type="importmap">{import_map}</script>{preloads}'
            f'<script type="module" src="{base}main.js"></script></head>'
            '<body><div id="console"></div><noscript>The console needs JavaScript. '
            '<a href="/api/docs">The API</a> and the command line do not.</noscript></body></html>'
        )
        digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
        policy = (
            f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self';"
            " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self';"
            " frame-ancestors 'none'; require-trusted-types-for 'script'"
        )
        return Answer(
            text.encode(),
            content_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"},
        )


@cache
def assets_of(pages: tuple[Page, ...]) -> Assets:
    """Return the files of the console with these pages, read at the first call."""
    return Assets(dict(_sources(files(__package__) / "static")), pages)


def _sources(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _sources(entry, f"{name}/")
        elif any(name.endswith(suffix) for suffix in _TYPES):
            yield name, entry.read_bytes()


def _module_name(page: Page) -> str:
    return f"{PLUGIN_PAGES}{page.path}.js"


def _asset(name: str, octets: bytes) -> Asset:
    suffix = name[name.rfind(".") :]
    gzipped = gzip.compress(octets, 9, mtime=0) if len(octets) >= _LEAST_COMPRESSED else None
    return Asset(octets, gzipped, _TYPES[suffix])
