"""Attachments: what is said of the data agrees with the data (FHIR R4, 2.24.0.9 Attachment)."""

from __future__ import annotations

import base64
import binascii
import hashlib

from fhir_server.validation.run import Fault, Json, Run


def attachment_rule(value: Json, run: Run) -> None:
    """Report an attachment whose data does not have the stated size or hash, or that cannot be decoded."""
    data, size, stated = value.get("data"), value.get("size"), value.get("hash")
    if stated.__class__ is str and decoded(stated) is None:
        complain(value, "hash", "The hash cannot be decoded from base64.", run)
        stated = None
    if data.__class__ is not str:
        return
    if data.split(maxsplit=1) != [data]:
        complain(value, "data", "The data of an attachment must be base64 without white space.", run)
        return
    content = decoded(data) if size is not None or stated is not None else None
    if content is None:
        return
    if size.__class__ is int and size != len(content):
        complain(value, "size", f"The data has {len(content)} bytes, and the size says {size}.", run)
    if stated.__class__ is str and decoded(stated) != sha1(content):
        right = base64.b64encode(sha1(content)).decode()
        complain(value, "hash", f"The SHA-1 hash of the data is {right}, and the hash says {stated}.", run)


def decoded(text: str) -> bytes | None:
    """The bytes of strict base64, None where it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def sha1(content: bytes) -> bytes:
    """The digest that FHIR asks for, which is a check sum here and guards nothing."""
    return hashlib.sha1(content, usedforsecurity=False).digest()


def complain(value: Json, key: str, text: str, run: Run) -> None:
    """Report an error of an attachment."""
    run.report(Fault(value, key, None, "error", "structure", text, None, None, "full"))
