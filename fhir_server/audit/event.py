"""Records of the ledger as AuditEvent resources, in the patterns of IHE BALP (FHIR R4, 6.4 AuditEvent)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.audit.account import DECISION
from fhir_server.resource.instant import instant

Json = dict[str, Any]
PREFIX = "ledger-"
BALP = "https://profiles.ihe.net/ITI/BALP"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST = {"system": f"{TERMINOLOGY}/audit-event-type", "code": "rest", "display": "RESTful Operation"}
AUTHENTICATION = {"system": DCM, "code": "110114", "display": "User Authentication"}
SECURITY = {"system": DCM, "code": "110113", "display": "Security Alert"}
OVERRIDE = {"system": DCM, "code": "110127", "display": "Emergency Override Started"}
SOURCE = {"system": DCM, "code": "110153", "display": "Source Role ID"}
DESTINATION = {"system": DCM, "code": "110152", "display": "Destination Role ID"}
RECIPIENT = {"system": f"{TERMINOLOGY}/v3-ParticipationType", "code": "IRCP", "display": "information recipient"}
ACTIONS = {"C": "C", "R": "R", "U": "U", "D": "D", "Q": "E", "E": "E"}
PATTERNS = {"C": "Create", "R": "Read", "U": "Update", "D": "Delete", "Q": "Query"}
DISCLOSING = frozenset("RQE")
"""Kinds by which data leave the server: it is their source."""

LOGINS = {"login": "110122", "login-failed": "110122", "logout": "110123"}
EXPORT = {"system": DCM, "code": "110106", "display": "Export"}
DISCLOSURE = {"system": f"{TERMINOLOGY}/iso-21089-lifecycle", "code": "disclose"}
BY_CONSENT = {"system": f"{BALP}/CodeSystem/AuthZsubType", "code": "AuthZ-Consent"}
CONSENT = {"system": "http://hl7.org/fhir/resource-types", "code": "Consent", "display": "Consent"}
APPLICATION = {"system": DCM, "code": "110150", "display": "Application"}
PROVIDER = {"system": f"{TERMINOLOGY}/v3-RoleClass", "code": "PROV", "display": "healthcare provider"}
AUTHORIZER = {"system": f"{TERMINOLOGY}/extra-security-role-type", "code": "authserver"}
PATIENT_ROLE, RESOURCE_ROLE, QUERY_ROLE, JOB_ROLE = "1", "4", "24", "20"


def audit_event(number: int, record: Mapping[str, Any], server: str) -> Json:
    """The AuditEvent of an entry of the ledger; `server` is the base URL of this one."""
    kind = record["k"]
    moment = instant(record["t"])
    body: Json = {
        "resourceType": "AuditEvent",
        "id": f"{PREFIX}{number}",
        "meta": {"versionId": "1", "lastUpdated": moment},
        **classified(kind, record),
        "recorded": moment,
        "outcome": record.get("o", "0"),
        "agent": list(agents(kind, record, server)),
        "source": {"observer": {"display": server}},
    }
    if kind in PATTERNS:
        about = "Patient" if record.get("l") else ""
        profile = f"{BALP}/StructureDefinition/IHE.BasicAudit.{about}{PATTERNS[kind]}"
        body["meta"]["profile"] = [profile]
    if kind == DECISION and record["w"].get("g") and len(record.get("l", ())) == 1 and record.get("a"):
        body["meta"]["profile"] = [f"{BALP}/StructureDefinition/IHE.BasicAudit.AuthZconsent"]
    if record.get("d"):
        body["outcomeDesc"] = str(record["d"])
    purpose = record.get("w", {}).get("p")
    if kind == "break-glass":
        purpose = "BTG"
    if purpose:
        body["purposeOfEvent"] = [{"coding": [{"system": f"{TERMINOLOGY}/v3-ActReason", "code": purpose}]}]
    entities = list(entities_of(record))
    if entities:
        body["entity"] = entities
    return body


def classified(kind: str, record: Mapping[str, Any]) -> Json:
    """What kind of event it is."""
    if kind == "E" and record["i"] == "export":
        return {"type": EXPORT, "subtype": [DISCLOSURE], "action": "R"}
    if kind == DECISION:
        return {"type": SECURITY, "subtype": [BY_CONSENT], "action": "E"}
    if kind in ACTIONS:
        system = "http://hl7.org/fhir/restful-interaction"
        subtype = {"system": system, "code": record["i"]}
        if kind == "E":
            subtype = {"system": "urn:nhipcau:operation", "code": record["i"]}
        return {"type": REST, "subtype": [subtype], "action": ACTIONS[kind]}
    if kind == "break-glass":
        return {"type": SECURITY, "subtype": [OVERRIDE], "action": "E"}
    subtypes = [{"system": DCM, "code": LOGINS[kind]}] if kind in LOGINS else []
    subtypes.append({"system": "urn:nhipcau:authentication", "code": kind})
    return {"type": AUTHENTICATION, "subtype": subtypes, "action": "E"}


def agents(kind: str, record: Mapping[str, Any], server: str) -> Iterator[Json]:
    """Yield the person or program, the application it came through, and this server."""
    who = record.get("w", {})
    is_source = kind in DISCLOSING
    network = {"address": str(record["a"][0]), "type": "2"} if record.get("a") else None
    user: Json = {"type": {"coding": [RECIPIENT]}, "requestor": True}
    if who.get("f"):
        user["who"] = {"reference": who["f"], "identifier": {"value": who.get("u", "")}}
    else:
        user["who"] = {"identifier": {"value": who.get("u") or "unknown"}}
    if who.get("r"):
        user["role"] = [{"coding": [{"system": "urn:nhipcau:role", "code": role} for role in who["r"]]}]
    if who.get("x"):
        user["policy"] = [f"urn:nhipcau:token:{who['x']}"]
    yield user
    roles = (DESTINATION, SOURCE) if is_source else (SOURCE, DESTINATION)
    if kind == DECISION:
        roles = APPLICATION, AUTHORIZER
    client: Json = {"type": {"coding": [roles[0]]}, "requestor": False}
    client["who"] = {"identifier": {"value": who.get("c") or who.get("u") or "unknown"}}
    if network:
        client["network"] = network
    yield client
    if kind == DECISION and who.get("g"):
        facility = {"reference": f"Organization/{who['g'][0]}"}
        yield {"type": {"coding": [PROVIDER]}, "who": facility, "requestor": False}
    yield {"type": {"coding": [roles[1]]}, "who": {"display": server}, "requestor": False}


def entities_of(record: Mapping[str, Any]) -> Iterator[Json]:
    """Yield the resources, the patients, what was searched for, and the request."""
    is_decision = record["k"] == DECISION
    for key in record.get("e", ()):
        if is_decision:
            yield {"what": {"reference": key}, "type": CONSENT}
        else:
            yield entity(RESOURCE_ROLE, "2", what={"reference": key})
    for patient in record.get("l", ()):
        yield entity(PATIENT_ROLE, "1", what={"reference": f"Patient/{patient}"})
    if record.get("s"):
        yield entity(QUERY_ROLE, "2", query=b64encode(record["s"].encode()).decode())
    # The pattern of a decision by consent has no entity but the patient, the Consent and the token.
    if record.get("q") and not is_decision:
        request = {"system": f"{BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
        yield {"what": {"identifier": {"value": record["q"]}}, "type": request}


def entity(role: str, kind: str, **members: Any) -> Json:
    """An entity with a role (object-role) and a type (audit-entity-type)."""
    return {
        **members,
        "type": {"system": f"{TERMINOLOGY}/audit-entity-type", "code": kind},
        "role": {"system": f"{TERMINOLOGY}/object-role", "code": role},
    }
