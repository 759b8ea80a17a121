"""The browser app at the server's root: files as they are built from `web/`, and the page that every address opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route as Page

PACKAGE = Path(str(resources.files("fhir_server")))
BUILT = PACKAGE / "static"
UNBUILT = PACKAGE / "start_page" / "index.html"
ENCODINGS: Mapping[str, str] = {"br": ".br", "gzip": ".gz"}
"""What files are packed as beside themselves, the best first (RFC 9110, 8.4.1)."""
TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "worker-src 'self' blob:; media-src 'self' blob:; manifest-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""No script in the page, nothing from another origin. Codecs are WebAssembly, labels on images style themselves."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FOR_EVER = "public, max-age=31536000, immutable"
"""For files whose names change with what is in them."""
ASK_AGAIN = "no-cache"


class Site:
    """Answers what is no FHIR: the app's files by their names, its page by any address of its sections.

    `base` is the FHIR base URL that the app logs in for, `asks` whether callers must say who they are. Where the app
    was not built, one page says so.
    """

    def __init__(self, base: str, *, asks: bool, built: Path = BUILT) -> None:
        self.is_built = (built / "index.html").is_file()
        self._files = {f"/{file.relative_to(built).as_posix()}": file for file in _files(built)}
        self._sections = _sections(built) if self.is_built else frozenset()
        page = (built / "index.html" if self.is_built else UNBUILT).read_text()
        told = f'data-auth="{"on" if asks else "off"}" data-base="{quote(base, safe=":/[]")}"'
        self._page = page.replace('data-auth="off" data-base="/fhir"', told).encode()

    def routes(self) -> Sequence[Page]:
        """The routes; the last one takes any path, and stands after all others."""
        return [Page("/", self.page), Page("/assets/{name}", self.file), Page("/{page:path}", self.any)]

    async def page(self, request: Request) -> Response:
        """Answer with the page of the app, whichever of its addresses is asked for."""
        headers = {**HEADERS, "Cache-Control": ASK_AGAIN}
        return Response(self._page, media_type="text/html", headers=headers)

    async def any(self, request: Request) -> Response:
        """Answer an address of the app, or a file at its root; raise HTTPException for any other."""
        _, section, *_ = request.url.path.split("/")
        return await (self.page if section in self._sections else self.file)(request)

    async def file(self, request: Request) -> Response:
        """Answer with a file, packed as the browser takes it; raise HTTPException where there is none of the name."""
        file = self._files.get(request.scope["path"])
        if file is None:
            raise HTTPException(404)
        headers = {**HEADERS, "Cache-Control": FOR_EVER if file.parent.name == "assets" else ASK_AGAIN}
        encoding = self._encoding(request)
        if encoding:
            headers |= {"Content-Encoding": encoding, "Vary": "Accept-Encoding"}
        path = file.with_name(file.name + ENCODINGS.get(encoding, ""))
        return FileResponse(path, headers=headers, media_type=TYPES.get(file.suffix, "application/octet-stream"))

    def _encoding(self, request: Request) -> str:
        taken = {each.strip().lower() for each in request.headers.get("accept-encoding", "").split(",")}
        for encoding, suffix in ENCODINGS.items():
            if encoding in taken and request.scope["path"] + suffix in self._files:
                return encoding
        return ""


def _files(folder: Path) -> Sequence[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".html"]


def _sections(folder: Path) -> frozenset[str]:
    """The first parts of the app's addresses, as it tells them itself."""
    return frozenset(orjson.loads((folder / "sections.json").read_bytes()))
