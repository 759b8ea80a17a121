"""Giving an owner to what was stored before anybody was asked who they are: a new version says whose it is.

What is written so has the content of the version before, which stays in the history and belongs to nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fhir_server.errors import FhirError
from fhir_server.repository.labelling import Labelling
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Saved, Write
from fhir_server.resource.parsing import Limits, parse
from fhir_server.store.protocol import Store, Version

NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
TASK = "Task"

Save = Callable[[Sequence[Write]], Awaitable[list[Saved]]]
"""Do all of some writes, or nothing."""


async def unowned(store: Store, labelling: Labelling, versions: Sequence[Version]) -> list[Version]:
    """Those of some versions that are current and belong to nobody; a Task about no patient is the server's own."""
    found = []
    for version in versions:
        if version.body is None or labelling.of(version).owners:
            continue
        if version.type == TASK and not labelling.of(version).patients:
            continue
        current = await store.read(version.type, version.id)
        if current is not None and current.version == version.version:
            found.append(version)
    return found


async def assign(save: Save, versions: Sequence[Version]) -> int:
    """Write versions anew, together, or one by one where that is refused; return how many were written."""
    writes = [same(version) for version in versions]
    try:
        return len(await save(writes)) if writes else 0
    except FhirError:
        if len(writes) == 1:
            return 0
    return sum([await assign(save, [version]) for version in versions])


def same(version: Version) -> Write:
    """The update of a resource by what it is."""
    raw = version.body or b""
    sent = Sent(parse(raw, NO_LIMITS), raw, members_counted=True)
    return Write("PUT", version.type, version.id, sent=sent, match=(version.version,))
