"""Consultations as an extension of the server: their workflow as FHIR operations, their rooms below /telesession."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fhir_server.extension import Extension, Surroundings
from fhir_server.maintenance import Finding, Kept
from fhir_server.part import Part
from telesession.booking import Booking
from telesession.closing import Closing
from telesession.following import Following
from telesession.legality import Legality
from telesession.minuting import KEY_FILE as SIGNING_KEY
from telesession.minuting import Minuting
from telesession.notices import Board
from telesession.on_call import OnCall
from telesession.premises import Premises
from telesession.recording import FOLDER, KEY_FILE
from telesession.retelling import tell
from telesession.rule import Rules
from telesession.sender import Post, installed
from telesession.workflow import Workflow

if TYPE_CHECKING:
    # So that the contracts about imports see it.
    from telesession.examination import examined  # noqa: F401

PREFIX = "/telesession"
EXAMINED: Part[Callable[[Surroundings], Iterator[tuple[str, Finding]]]] = Part("telesession.examination:examined")


def telesession(surroundings: Surroundings) -> Extension:
    """Return the extension."""
    base = surroundings.base.removesuffix("/fhir")
    workflow = Workflow(f"{base}{PREFIX}/sessions", surroundings.settings)
    minuting = Minuting(workflow, surroundings)
    board = Board()
    premises = Premises(surroundings.settings, surroundings.clock, base, surroundings.data)

    def stopping() -> None:
        board.stopping()
        premises.stopping()

    return Extension(
        "telesession",
        PREFIX,
        rows=(*board.rows(), *minuting.rows(), *premises.rows),
        operations=(*workflow.operations(), *Booking(workflow).operations(), *minuting.operations()),
        checks=(
            *Legality(surroundings.clock).checks(),
            *minuting.checks(),
            *Closing(surroundings.settings.tele_unsigned).checks(),
            *Rules(surroundings.settings.tele_blocks).checks(),
        ),
        listeners=(Following(workflow.moment).listener(), *Post(installed(surroundings)).listeners()),
        work=(OnCall(workflow).work, workflow.relay.work, board.work, premises.watch),
        opened=premises.opened,
        keeps=Kept(folders=(FOLDER,), secrets=(KEY_FILE, SIGNING_KEY)),
        examined=lambda: EXAMINED.load()(surroundings),
        stopping=stopping,
        tells=tell,
    )
