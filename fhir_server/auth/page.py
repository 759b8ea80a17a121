"""The pages that people see when they log in and decide, in Vietnamese and English, without a script."""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson
from jinja2 import Environment, FunctionLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth.session import Language, Visit

FOLDER = resources.files("fhir_server").joinpath("auth", "pages")
WORDS: dict[str, dict[Language, str]] = orjson.loads(FOLDER.joinpath("words.json").read_bytes())
STYLE = FOLDER.joinpath("pages.css").read_bytes()
POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'{also}; frame-ancestors 'none'; "
    "base-uri 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _template(name: str) -> str:
    return FOLDER.joinpath(name).read_text()


ENVIRONMENT = Environment(
    loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def page(name: str, visit: Visit, *, status: int = 200, also: str = "", **values: Any) -> Response:
    """Return a page; `also` is where its forms may lead besides this server."""
    language = visit.language

    def word(key: str, **parts: Any) -> str:
        return WORDS[key][language].format(**parts)

    text = ENVIRONMENT.get_template(f"{name}.html").render(
        word=word, language=language, token=visit.token, here=here(visit.request), other=other(visit), **values
    )
    headers = {**HEADERS, "Content-Security-Policy": POLICY.format(also=f" {also}" if also else "")}
    return Response(text, status, headers, "text/html; charset=utf-8")


def here(request: Request) -> str:
    """The URL of this page below the server's root, without the choice of a language."""
    kept = "&".join(each for each in request.url.query.split("&") if each and not each.startswith("lang="))
    return f"{request.url.path}?{kept}" if kept else request.url.path


def other(visit: Visit) -> str:
    """The URL of this page in the other language."""
    found = here(visit.request)
    return f"{found}{'&' if '?' in found else '?'}lang={'en' if visit.language == 'vi' else 'vi'}"


async def style(_request: Request) -> Response:
    """The style sheet of all pages."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})
