"""The imaging orders of a node, read and written as FHIR: for the worklist, and for steps that are performed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson

from dicom_bridge.imaging_study import identifier_of, imaging_study_id
from dicom_bridge.performed_step import FINAL, Told, begun, changed, identifier
from dicom_bridge.worklist import IMAGING, SNOMED, UID_SYSTEM, Order, is_imaging, is_scheduled, step_id, study_uid
from fhir_server.errors import Conflict, NotFound, PreconditionFailed
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.rest.node import Node

ORDERS_AT_ONCE = 200
MOST_ORDERS = 2_000
NAMESPACE = "namespace of study UIDs"
CLOSED = frozenset({"completed", "failed", "cancelled", "rejected", "entered-in-error"})

Body = dict[str, Any]


class Orders:
    """The orders of one node, as the server itself sees them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._namespace = ""
        self._zone = ZoneInfo(node.settings.time_zone)

    async def scheduled(self) -> list[Order]:
        """The orders that are to be done."""
        return [order async for order in self._active() if is_scheduled(order)]

    async def _active(self) -> AsyncIterator[Order]:
        """Active orders, each with its patient and its last open Task."""
        pairs = [
            ("category", f"{SNOMED}|{IMAGING}"),
            ("status", "active"),
            ("_include", "ServiceRequest:patient"),
            ("_revinclude", "Task:focus"),
            ("_sort", "-authored"),
        ]
        repository = self._node.repository
        plan = repository.query(("ServiceRequest",), pairs).plan
        namespace = await self._own_namespace()
        cursor, seen = None, 0
        while seen < MOST_ORDERS:
            page = await repository.page(plan, ORDERS_AT_ONCE, cursor)
            included = [_body(each) for each in page.included]
            for version in page.matches:
                yield self._order(_body(version), included, namespace)
            seen += len(page.matches)
            cursor = page.following
            if cursor is None:
                break

    def _order(self, request: Body, included: list[Body], namespace: str) -> Order:
        patients = {f"Patient/{each['id']}": each for each in included if each["resourceType"] == "Patient"}
        subject = request.get("subject", {}).get("reference", "")
        place = f"ServiceRequest/{request['id']}"
        tasks = [
            each
            for each in included
            if each["resourceType"] == "Task" and each.get("focus", {}).get("reference", "").endswith(place)
        ]
        tasks.sort(key=lambda each: (each.get("status") not in CLOSED, each.get("meta", {}).get("lastUpdated", "")))
        patient = patients.get(f"Patient/{subject.rpartition('/')[2]}", {})
        return Order(request, patient, tasks[-1] if tasks else None, namespace, self._zone)

    async def _own_namespace(self) -> str:
        """What UIDs of this node's studies are made in: the same for all its processes, for ever."""
        if not self._namespace:
            await self._node.notes.keep(NAMESPACE, str(uuid4()), None)
            self._namespace = await self._node.notes.note(NAMESPACE) or ""
        return self._namespace

    async def ordered(self, request: Body) -> None:
        """Write the ImagingStudy of a ServiceRequest that orders images, before there are any."""
        if is_imaging(request) and request.get("status") == "active" and request.get("subject"):
            await self.register(self._order(request, [], await self._own_namespace()))

    async def begin(self, uid: str, what: Told) -> None:
        """Note that a step is performed; raise Conflict where it is noted already."""
        if await self._task_of(uid) is not None:
            raise Conflict("This performed step is known already.")
        order = await self._order_of(what)
        task = order.task if order is not None and is_scheduled(order) else None
        body = begun(task, order, uid, what)
        if task is not None:
            await self._put(body)
        else:
            token = identifier(uid)
            criteria = (("identifier", f"{token['system']}|{token['value']}"),)
            await self._node.repository.write([Write("POST", "Task", criteria=criteria, sent=sent(body))])
        if order is not None:
            await self.register(order, what.began)

    async def _order_of(self, what: Told) -> Order | None:
        """The order that a step is of: by the UID of its study, or by the id of the scheduled step."""
        async for order in self._active():
            if what.study and what.study == study_uid(order.request, order.namespace):
                return order
            if what.step and what.step == step_id(order):
                return order
        return None

    async def register(self, order: Order, began: str = "") -> None:
        """Write the ImagingStudy of an order, registered, where there is none yet."""
        study = study_uid(order.request, order.namespace)
        body = {
            "resourceType": "ImagingStudy",
            "id": imaging_study_id(study),
            "identifier": [identifier_of(study)],
            "status": "registered",
            "subject": order.request["subject"],
            "basedOn": [{"reference": f"ServiceRequest/{order.request['id']}"}],
            **({"started": began} if began else {}),
        }
        try:
            await self._node.repository.write(
                [Write("PUT", "ImagingStudy", body["id"], sent=sent(body), unless_exists=True)]
            )
        except PreconditionFailed:
            return  # images came before

    async def progress(self, uid: str, what: Told) -> None:
        """Note how a step goes on; raise NotFound for an unknown one, Conflict for one that has ended."""
        task = await self._task_of(uid)
        if task is None:
            raise NotFound("This performed step is not known.")
        if task.get("status") in FINAL:
            raise Conflict("This performed step has ended, and can no longer be changed.")
        await self._put(changed(task, what))

    async def _task_of(self, uid: str) -> Body | None:
        token = f"{UID_SYSTEM}|urn:oid:{uid}"
        plan = self._node.repository.query(("Task",), [("identifier", token)]).plan
        page = await self._node.repository.page(plan, 1)
        return _body(page.matches[0]) if page.matches else None

    async def _put(self, body: Mapping[str, Any]) -> None:
        version = int(body["meta"]["versionId"])
        write = Write("PUT", body["resourceType"], body["id"], sent=sent(body), match=(version,))
        await self._node.repository.write([write])


def sent(body: Mapping[str, Any]) -> Sent:
    """Return a resource as it is given to the repository."""
    raw = orjson.dumps(body)
    return Sent(orjson.loads(raw), raw, members_counted=True)


def _body(version: Any) -> Body:
    body: Body = orjson.loads(version.body or b"{}")
    return body
