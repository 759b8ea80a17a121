"""The people and programs of the demo, with passwords that are made anew at each start."""

from __future__ import annotations

from typing import Any

from fhir_server.auth.client import Client
from fhir_server.auth.person import Person, readable_password, with_password
from fhir_server.demo.story import HUB, STATION
from fhir_server.store.records import Records

PEOPLE = (
    Person("mai", "Nguyễn Thị Mai", roles=("commune-worker",), organizations=(STATION,)),
    Person("tho", "Bs. Hoàng Văn Thọ", "", ("doctor",), "Practitioner/bac-si-hoang-van-tho", (HUB,)),
    Person("linh", "Trần Mỹ Linh", roles=("coordinator",), organizations=(HUB,)),
    Person("quantri", "Quản trị bệnh viện", roles=("facility-admin",), organizations=(HUB,)),
    Person("may", "Lý Thị Mây", "", ("patient",), "Patient/ly-thi-may"),
    Person("soyte", "Cán bộ Sở Y tế", roles=("province",)),
)
SCOPE = (
    "openid fhirUser profile launch launch/patient launch/encounter offline_access online_access patient/*.cruds "
    "user/*.cruds"
)


def admit(records: Records, base: str) -> list[dict[str, Any]]:
    """Let the demo's people in, with new passwords, and a program for them; return who they are, passwords included."""
    app = Client("demo-app", "Ứng dụng thử", "none", SCOPE, redirect_uris=(f"{base}/", "http://127.0.0.1:9090/"))
    _put(records, "client", app.id, app.as_json())
    told = []
    for person in PEOPLE:
        password = readable_password()
        _put(records, "person", person.login, with_password(person, password).as_json())
        told.append({"login": person.login, "password": password, "role": person.roles[0], "name": person.name})
    return told


def _put(records: Records, kind: str, name: str, body: dict[str, Any]) -> None:
    record = records.read(kind, name)
    if record is None:
        records.add(kind, name, body)
    else:
        records.change(kind, name, body, record.revision)
