"""What an expression may ask of the world outside its resource: other resources, terminology, profiles."""

from __future__ import annotations

from typing import Any, Protocol

from fhir_server.fhirpath.node import Node


class Environment(Protocol):
    """Answers None where it does not know, and the expression then yields empty (or says so for an unknown profile)."""

    def resolve(self, reference: str) -> dict[str, Any] | None:
        """The resource that a literal reference names; contained resources are found without asking."""

    def member_of(self, node: Node, value_set: str) -> bool | None:
        """Whether a code, string, uri, Coding, CodeableConcept or Quantity is in a value set."""

    def subsumes(self, general: Node, special: Node) -> bool | None:
        """Whether one concept is the same as, or an ancestor of, the other."""

    def conforms_to(self, node: Node, structure: str) -> bool | None:
        """Whether a resource or element meets a profile; None for an unknown profile."""


class NullEnvironment:
    """Knows nothing outside the resource."""

    def resolve(self, reference: str) -> dict[str, Any] | None:
        """Finds nothing."""
        return None

    def member_of(self, node: Node, value_set: str) -> bool | None:
        """Knows no value set."""
        return None

    def subsumes(self, general: Node, special: Node) -> bool | None:
        """Knows no code system."""
        return None

    def conforms_to(self, node: Node, structure: str) -> bool | None:
        """Knows no profile."""
        return None


class ReferencedTypes(NullEnvironment):
    """Resolves a relative or absolute reference to a resource of which only type and id are known.

    Enough for `resolve() is Patient`, which search parameters use on resources that need not be loaded.
    """

    def __init__(self, resource_types: frozenset[str]) -> None:
        self.resource_types = resource_types

    def resolve(self, reference: str) -> dict[str, Any] | None:
        """A resource with its type and id; None where the reference does not show them."""
        before_version = reference.partition("/_history/")[0].partition("#")[0]
        kind, _, identity = before_version.rpartition("/")
        kind = kind.rpartition("/")[2]
        return {"resourceType": kind, "id": identity} if kind in self.resource_types and identity else None
