"""Consultations as an extension of the server: their workflow as FHIR operations, their rooms below /telesession."""

from __future__ import annotations

from fhir_server.extension import Extension, Surroundings
from telesession.booking import Booking
from telesession.following import Following
from telesession.legality import Legality
from telesession.notices import Board
from telesession.on_call import OnCall
from telesession.workflow import Workflow

PREFIX = "/telesession"


def telesession(surroundings: Surroundings) -> Extension:
    """Return the extension."""
    workflow = Workflow(f"{surroundings.base.removesuffix('/fhir')}{PREFIX}/sessions")
    board = Board()
    return Extension(
        "telesession",
        PREFIX,
        rows=board.rows(),
        operations=(*workflow.operations(), *Booking(workflow).operations()),
        checks=Legality(surroundings.clock).checks(),
        listeners=(Following(workflow.moment).listener(),),
        work=(OnCall(workflow).work, board.work),
        stopping=board.stopping,
    )
