"""What access knows of a version: whose it is, about whom, for whom; kept beside it, and told to nobody.

The parameters of the Patient compartment say about whom a resource is (FHIR R4, 5.5), with three exceptions, because a
link is no leave to read what it leads to: a Patient is in its own compartment only, and neither a Person nor a Group is
in any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

ADDRESSEES: Mapping[str, tuple[str, ...]] = {
    "Appointment": ("actor",),
    "AppointmentResponse": ("actor",),
    "Communication": ("recipient",),
    "CommunicationRequest": ("recipient",),
    "DeviceRequest": ("performer",),
    "ServiceRequest": ("performer",),
    "Task": ("owner",),
}
"""The search parameters that say for whom a resource is."""

JOINING_NOBODY = frozenset({"Group", "Patient", "Person"})
"""Types that refer to patients whose compartment they are not in, as far as access goes."""

BY_REFERENCE = frozenset({"Binary"})
"""Types of no compartment that are about the patients to whom they refer, as Binary.securityContext does."""


class Label(NamedTuple):
    """Owners are ids of Organizations, the writer's first; patients are ids; addressees are references.

    `marks` are the codes of security labels.
    """

    owners: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    addressees: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def text(self) -> str:
        """The label as it is kept; no id holds a comma or a bar."""
        return "|".join(map(",".join, self))


UNKNOWN = Label()


def label_from(text: str) -> Label:
    """The label that was kept."""
    owners, patients, addressees, marks = (tuple(part.split(",")) if part else () for part in text.split("|"))
    return Label(owners, patients, addressees, marks)
