"""The log: one line of JSON for each event, without anything that a client sent (RFC 8259 texts, one a line)."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

DEEPEST = 30
"""So many frames of a fault are told."""


def configure(stream: TextIO = sys.stderr) -> None:
    """Send what this process logs, by structlog or by the standard library, to a stream."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        place_of_fault,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("fhir_server").setLevel(logging.INFO)


def line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return an event as a line."""
    return orjson.dumps(dict(event), default=str).decode()


def place_of_fault(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say where in the code a fault arose, and of which kind: its text may hold what a client sent, and is left out."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    fault = found[1] if isinstance(found, tuple) else found
    if isinstance(fault, BaseException):
        event["fault"] = [type(each).__name__ for each in chain(fault)]
        event["frames"] = frames(fault.__traceback__)
    return event


def chain(fault: BaseException) -> list[BaseException]:
    """Return a fault and those that led to it."""
    found = [fault]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


def frames(trace: TracebackType | None) -> list[str]:
    """Return the places that a fault went through."""
    return [f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(trace)[-DEEPEST:]]


def logger() -> Any:
    """Return where this package's events go."""
    return structlog.get_logger("fhir_server")
