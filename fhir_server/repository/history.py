"""Which versions a time selects: `_since` and `_at` as places in the order of all versions (FHIR R4, 3.1.0.10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from fhir_server.errors import Invalid, Issue
from fhir_server.search.value_types.date import DATE
from fhir_server.store.protocol import PLACES, Scope, Store, Version

Span = Callable[[str], tuple[float, float]]
"""The first millisecond of a date and the first one after it."""

READ_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Window:
    """The versions with `after < place < before`, and those that were current at commit `current_at` if it is given.

    `at` is the moment that the answer is of, in milliseconds.
    """

    after: int = 0
    before: int | None = None
    current_at: int | None = None
    at: int = 0


async def window_of(store: Store, span: Span, since: str | None, at: str | None, before: int | None) -> Window:
    """Return the window that parameters name; raise Invalid for what is no date."""
    present = await store.snapshot()
    window = Window(before=(present.t + 1) * PLACES, at=present.at)
    if since is not None:
        low, _ = _bounds(span, "_since", since)
        window = replace(window, after=await _end_of(store, low - 1))
    if at is not None:
        low, high = _bounds(span, "_at", at)
        start = await store.snapshot(low)
        end = await _end_of(store, max(low, high - 1))
        after = max(window.after, (start.t + 1) * PLACES - 1)
        window = replace(window, after=after, before=end + 1, current_at=start.t)
    return window if before is None else replace(window, before=before)


async def _end_of(store: Store, at: int) -> int:
    """The last place of the commits up to a moment."""
    return ((await store.snapshot(at)).t + 1) * PLACES - 1


def _bounds(span: Span, name: str, text: str) -> tuple[int, int]:
    written = text.replace(" ", "+") if text[-6:-5] == " " else text
    if DATE.fullmatch(written):
        with suppress(ValueError, OverflowError):
            low, high = span(written)
            return int(low), int(high)
    what = f"{name} is an instant or a date, such as 2026-11-23T14:00:00+07:00, not {text[:60]!r}."
    raise Invalid(Issue("error", "value", what))


async def versions_in(store: Store, scope: Scope, window: Window, limit: int) -> Sequence[Version]:
    """Return the latest versions in a window, the latest first."""
    if window.current_at is None:
        return await store.history(scope, limit, after=window.after, before=window.before, newest_first=True)
    found: list[Version] = []
    async for version in _backwards(store, scope, window.before):
        if version.place > window.after or await _was_current(store, version, window.current_at):
            found.append(version)
            if len(found) == limit:
                break
    return found


async def _backwards(store: Store, scope: Scope, before: int | None) -> AsyncIterator[Version]:
    while page := await store.history(scope, READ_AT_ONCE, before=before, newest_first=True):
        for version in page:
            yield version
        before = page[-1].place


async def _was_current(store: Store, version: Version, t: int) -> bool:
    current = await store.read(version.type, version.id, t=t)
    return current is not None and current.place == version.place
