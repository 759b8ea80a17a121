"""Whether one request may write what it asks for: what is there must be the caller's to change, what results as well.

What the caller may not see is not there: a write to it is answered as one to an id that nobody has used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fhir_server.access.consent import directive_from
from fhir_server.access.grant import KEPT_BY_ADDRESSEES, is_of_server
from fhir_server.access.label import Label
from fhir_server.access.role import BY_CODE
from fhir_server.errors import Forbidden, NotFound, Unchanging
from fhir_server.repository.history import Span
from fhir_server.repository.labelling import label_rows
from fhir_server.repository.reference import Key, Targets, reference_texts
from fhir_server.repository.sight import Sights
from fhir_server.repository.write import Write
from fhir_server.resource.parsing import Limits, parse
from fhir_server.search.row import Row
from fhir_server.store.protocol import Store, Version

PROVENANCE = "Provenance"
NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
LETTERS: Mapping[str, str] = {"POST": "c", "PUT": "u", "PATCH": "u", "DELETE": "d"}
DONE = {"u": "change", "d": "delete"}


class Permission:
    """The permission of one attempt. `known` are the current versions that it decided by: they must be current then."""

    def __init__(self, sights: Sights, store: Store, span: Span) -> None:
        self.sights = sights
        self.known: dict[Key, Version] = {}
        self._store = store
        self._span = span
        self._owners: tuple[str, ...] | None = None

    async def current(self, write: Write, key: Key) -> Version | None:
        """The current version of what a write is about, None where there is none for the caller.

        Raise Forbidden for what the caller may see and not change, Unchanging for what nobody may; NotFound for an
        update under an id that does not exist where the caller cannot name ids, and where it does exist.
        """
        letter = LETTERS[write.method]
        self._needs(write, letter)
        if write.method == "POST":
            return None
        found = await self._store.read(*key)
        if found is not None and self.sights.shows(found):
            if found.body is not None and not self.sights.shows(found, letter):
                if write.type == PROVENANCE:
                    raise Unchanging(f"{'/'.join(key)} tells what happened and is never changed.")
                raise Forbidden(f"You may read {'/'.join(key)}, and not {DONE[letter]} it.")
            self.known[key] = found
            return found
        if write.method == "PUT" and (found is not None or not self._may_name(key[0])):
            raise NotFound(f"There is no {'/'.join(key)}.")
        return None

    def version(self, key: Key) -> int | None:
        """The version that must be current, because the permission was decided by it; None where nothing was."""
        found = self.known.get(key)
        if found is None:
            return None
        return found.version if found.body is not None else 0

    def references(self, key: Key, targets: Targets) -> tuple[Key, ...]:
        """What a resource refers to already."""
        former = self.former(key)
        return targets.all_of(reference_texts(former)) if former else ()

    def former(self, key: Key) -> dict[str, Any]:
        """The resource as it was; empty where there was none."""
        found = self.known.get(key)
        return {} if found is None or found.body is None else parse(found.body, NO_LIMITS)

    def label_of(self, key: Key) -> str:
        """The label that what is deleted keeps."""
        found = self.known.get(key)
        return "" if found is None else self.sights.labelling.of(found).text()

    def _needs(self, write: Write, letter: str) -> None:
        """Raise Forbidden for what the caller may do to no resource of the type at all."""
        if write.method == "PUT" and self.sights.sight(write.type, "c") is not None:
            return
        self.sights.needed(write.type, letter)

    def _may_name(self, kind: str) -> bool:
        caller = self.sights.caller
        if self.sights.sight(kind, "c") is None:
            return False
        return caller.kind == "local" or any(BY_CODE[role].names_ids for role in caller.roles if role in BY_CODE)

    async def label(self, key: Key, body: Mapping[str, Any], rows: Sequence[Row]) -> Label:
        """The label of what is to be stored; raise Forbidden for what the caller may not make of it."""
        found = self.sights.labelling.label(*key, body, rows)
        current = self.known.get(key)
        former: Mapping[str, Any] = {}
        if current is not None:
            known = self.sights.labelling.of(current)
            found = found._replace(owners=known.owners or self._found_owners())
            if current.body is not None:
                former = parse(current.body, NO_LIMITS)
                self._keep(key, known, former, body)
        else:
            found = found._replace(owners=await self._new_owners(key[0], found))
        letter = "u" if current is not None and current.body is not None else "c"
        if not self.sights.takes(*key, found, letter, rows):
            self.sights.needed(key[0], letter)
            raise Forbidden(f"You may not make this {key[0]}: it would not be one of those that you may write.")
        self._refuse_forged(key[0], former, body)
        return found

    def _found_owners(self) -> tuple[str, ...]:
        """Whose it becomes what belonged to nobody: the server's own facility's, when the server changes it."""
        caller = self.sights.caller
        return caller.organizations[:1] if caller.kind == "local" else ()

    async def _new_owners(self, kind: str, label: Label) -> tuple[str, ...]:
        """The facilities that a new resource belongs to: the writer's, and those that opened the patient to it.

        What a patient writes belongs to the facilities that keep the patient's record; what the server writes, to those
        for which it does.
        """
        caller = self.sights.caller
        if caller.kind == "local":
            return caller.organizations
        if caller.organizations:
            sight = self.sights.sight(kind, "r")
            opened = sight.opened if sight is not None else frozenset()
            facilities = sorted(owner for owner, patient in opened if patient in label.patients)
            if sight is not None and not sight.broken.isdisjoint(label.patients):
                facilities += await self._keepers(sight.broken.intersection(label.patients))
            return tuple(dict.fromkeys((caller.organizations[0], *facilities)))
        if self._owners is None:
            self._owners = await self._keepers(label.patients)
        return self._owners

    async def _keepers(self, patients: Collection[str]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for patient in patients:
            version = await self._store.read("Patient", patient)
            if self.sights.shows(version) and version is not None:
                found.update(dict.fromkeys(self.sights.labelling.of(version).owners))
        return tuple(found)

    def _keep(self, key: Key, label: Label, former: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Raise Forbidden where somebody changes what a Task opens, and for whom, who may only bring it on."""
        if key[0] != "Task" or self.sights.caller.kind == "local":
            return
        sight = self.sights.needed("Task", "u")
        if not is_of_server(former) and not sight.is_addressed_alone(label, key[1]):
            return
        changed = [name for name in KEPT_BY_ADDRESSEES if former.get(name) != body.get(name)]
        if changed:
            raise Forbidden(f"You may bring {'/'.join(key)} on, and not change its {', '.join(changed)}.")

    def _refuse_forged(self, kind: str, former: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Raise Forbidden for what would give the caller more than others decided."""
        caller = self.sights.caller
        if caller.kind == "local":
            return
        if kind == "Task" and is_of_server(body) and not is_of_server(former):
            raise Forbidden("This code of a Task is given by the server alone.")
        if kind == "Consent" and "patient" not in caller.roles:
            if not any(BY_CODE[role].records_consent for role in caller.roles if role in BY_CODE):
                raise Forbidden("Your role does not write down what a patient has agreed to.")
            directive = directive_from({**body, "status": "active"}, frozenset(), self._span)
            if directive is not None and not directive.permitted.isdisjoint(self.sights.standing.identities(caller)):
                raise Forbidden("A Consent in your own favour is written down by somebody else.")


async def visible(sights: Sights, store: Store, keys: Collection[Key]) -> tuple[Key, ...]:
    """Those of some resources that the caller may see."""
    return tuple([key for key in keys if sights.shows(await store.read(*key))])


def labelled(kind: str, rows: Sequence[Row], label: Label) -> Sequence[Row]:
    """The index rows of a resource with those of its label."""
    return (*rows, *label_rows(kind, label))
