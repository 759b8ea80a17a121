"""A consultation is closed when its minutes are signed, but for the kinds that the node excepts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fhir_server.errors import Issue, Unprocessable
from fhir_server.repository.check import Around, WriteCheck, Written
from telesession import vocabulary as words
from telesession.consultation import KIND_OF
from telesession.minutes import is_minutes, is_signed
from telesession.peer import MIRROR
from telesession.vocabulary import Body, code, objects, path_of

CLOSED = "completed"
TYPES = frozenset({"Task", "ServiceRequest"})


class Closing:
    """The check of writes that close; kinds of consultations in `unsigned` need no minutes."""

    def __init__(self, unsigned: Collection[str]) -> None:
        self._unsigned = frozenset(unsigned)

    def checks(self) -> Sequence[WriteCheck]:
        """The rows for the door of the server."""
        return (WriteCheck(TYPES, self.check),)

    async def check(self, written: Written, around: Around) -> Sequence[Issue]:
        """Raise Unprocessable for a consultation that is closed while the minutes of a session are not signed."""
        body, former = written.body, written.former
        if body is None or body.get("status") != CLOSED or (former or {}).get("status") == CLOSED:
            return ()
        # What is closed at the node of the hub is closed here too: its minutes are there.
        if (written.caller.kind == "local" and written.caller.subject == MIRROR) or list(objects(body, "partOf")):
            return ()
        path = f"ServiceRequest/{written.id}" if written.type == "ServiceRequest" else path_of(body.get("focus"))
        request = body if written.type == "ServiceRequest" else await _read(around, path)
        kind = KIND_OF.get(code((request or {}).get("category"), words.ACTIVITY) or "")
        if kind is None or kind in self._unsigned:
            return ()
        for encounter in await around.found("Encounter", [("based-on", path)]):
            if encounter.get("status") != "finished":
                continue
            found = await around.found("Composition", [("encounter", f"Encounter/{encounter['id']}")])
            if not any(is_minutes(each) and is_signed(each) for each in found):
                text = f"{path} is closed when chair and secretary have signed the minutes."
                fix = "Draft them by ServiceRequest/$tele-draft-minutes; each signs by Composition/$tele-sign."
                raise Unprocessable(Issue("error", "business-rule", text, (f"{written.type}.status",), fix=fix))
        return ()


async def _read(around: Around, path: str) -> Body | None:
    kind, _, name = path.partition("/")
    return await around.read(kind, name) if kind == "ServiceRequest" and name and "/" not in name else None
