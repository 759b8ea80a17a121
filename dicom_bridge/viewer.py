"""OHIF, a workstation for radiologists, beside the images at /ohif/: its pages, as they were installed."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path

from starlette.responses import FileResponse, Response

from fhir_server.access.caller import Caller
from fhir_server.access.scope import Scopes
from fhir_server.errors import NotFound
from fhir_server.extension import Extension, Row, Surroundings, Visit

PREFIX = "/ohif"
FOLDER = "ohif"
INDEX = "index.html"
GUEST = Caller("guest", "viewer", Scopes(()))
"""Who asks for a page: anybody. The pages hold nobody's data; the images that they ask for take a token."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src 'self' data:; "
    "connect-src 'self' blob: data:; frame-ancestors 'self'; base-uri 'self'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    # Decoders share memory with their workers, which a browser allows to pages that are isolated so.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
ASKED_AGAIN = {"Cache-Control": "no-cache"}


async def anybody(_header: str | None) -> Caller:
    """Let everybody see the pages."""
    return GUEST


class Pages:
    """The files of the viewer; a path that names none is one of its own addresses, and gets its first page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def answer(self, visit: Visit) -> Response:
        """A file of the viewer; raise NotFound where it is not installed."""
        folder = self._folder.resolve()
        wanted = (folder / visit.request.path_params.get("path", "")).resolve()
        is_file = wanted.is_relative_to(folder) and wanted.is_file()
        if not is_file and "." in wanted.name:
            raise NotFound("The viewer has no such file.")
        path = wanted if is_file else folder / INDEX
        if not path.is_file():
            raise NotFound("The viewer is not installed here: nhipcau viewer install, with this server's --data.")
        headers = HEADERS | (KEPT if ".bundle." in path.name or path.suffix == ".wasm" else ASKED_AGAIN)
        media_type = guess_type(path.name)[0] or "application/octet-stream"
        packed = path.with_name(f"{path.name}.gz")
        if "gzip" in visit.request.headers.get("accept-encoding", "") and packed.is_file():
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            path = packed
        return FileResponse(path, 200, headers, media_type)


def viewer(surroundings: Surroundings) -> Extension:
    """Return the extension: the pages in the data folder, for everybody."""
    pages = Pages(surroundings.data / FOLDER)
    rows = [Row("GET", path, pages.answer, (), anybody) for path in ("", "/{path:path}")]
    return Extension("viewer", PREFIX, rows=rows)
