"""What tells the story of a demo: the server and each extension add their part, and what is there stays as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.access.caller import LOCAL
from fhir_server.errors import NotFound
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.rest.node import Node

Story = Mapping[str, str]
"""References to the main resources of a story, and other names such as a study's UID, by what they are in it."""
Tell = Callable[[Node, Story], Awaitable[Story]]
"""Adds a part to a story that has been told so far, and returns what that part has of main resources."""


async def tell_nothing(_node: Node, _story: Story) -> Story:
    """Have no part in a story."""
    return {}


async def write_absent(node: Node, facility: str, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Store those of some resources that are not there yet, all or none; they belong to the Organization of this id."""
    repository = node.bound(replace(LOCAL, organizations=(facility,))).repository
    absent = []
    for body in bodies:
        try:
            await repository.read(body["resourceType"], body["id"])
        except NotFound:
            absent.append(dict(body))
    writes = [Write("PUT", each["resourceType"], each["id"], sent=Sent(each), place=n) for n, each in enumerate(absent)]
    if writes:
        await repository.write(writes)
