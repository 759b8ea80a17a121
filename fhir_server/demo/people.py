"""The people and programs of the demo, with passwords and secrets that are made anew at each start."""

from __future__ import annotations

from typing import Any

from fhir_server.auth.client import Client, with_new_secret
from fhir_server.auth.person import Person, readable_password, with_password
from fhir_server.demo.story import DISTRICT, HUB, STATION, Admitted
from fhir_server.store.records import Records

PEOPLE = (
    Person("dung", "Y sĩ Ma Thị Dung", "", ("commune-worker",), "Practitioner/y-si-ma-thi-dung", (STATION,)),
    Person("son", "BS. Nông Văn Sơn", "", ("doctor",), "Practitioner/bac-si-nong-van-son", (DISTRICT,)),
    Person("linh", "Trần Mỹ Linh", "", ("coordinator",), "Practitioner/dieu-phoi-tran-my-linh", (HUB,)),
    Person("tho", "BS. Hoàng Văn Thọ", "", ("doctor",), "Practitioner/bac-si-hoang-van-tho", (HUB,)),
    Person("ha", "BS. Nguyễn Thu Hà", "", ("radiologist",), "Practitioner/bac-si-nguyen-thu-ha", (HUB,)),
    Person("quantri", "Thư ký bệnh viện tỉnh", roles=("facility-admin",), organizations=(HUB,)),
    Person("may", "Lý Thị Mây", "", ("patient",), "Patient/ly-thi-may"),
    Person("soyte", "Cán bộ Sở Y tế", roles=("province",)),
)
PROGRAMS = (("his-tram-y-te", "HIS trạm y tế", STATION), ("his-benh-vien-tinh", "HIS bệnh viện tỉnh", HUB))
"""The information systems of two facilities: client id, name, facility."""
SCOPE = (
    "openid fhirUser profile launch launch/patient launch/encounter offline_access online_access patient/*.cruds "
    "user/*.cruds"
)


def admit(records: Records, base: str) -> Admitted:
    """Let the demo's people and programs in, with new passwords and secrets; return who they are."""
    app = Client("demo-app", "Ứng dụng thử", "none", SCOPE, redirect_uris=(f"{base}/", "http://127.0.0.1:9090/"))
    _put(records, "client", app.id, app.as_json())
    users, programs = [], []
    for person in PEOPLE:
        password = readable_password()
        _put(records, "person", person.login, with_password(person, password).as_json())
        told = {"login": person.login, "password": password, "role": person.roles[0], "name": person.name}
        users.append({**told, "organizations": list(person.organizations)})
    for name, title, facility in PROGRAMS:
        bare = Client(name, title, "client_secret_basic", "system/*.cruds", roles=("his",), organizations=(facility,))
        program, secret = with_new_secret(bare)
        _put(records, "client", name, program.as_json())
        programs.append({"id": name, "secret": secret, "name": title, "organizations": [facility]})
    return Admitted(users, programs)


def _put(records: Records, kind: str, name: str, body: dict[str, Any]) -> None:
    record = records.read(kind, name)
    if record is None:
        records.add(kind, name, body)
    else:
        records.change(kind, name, body, record.revision)
