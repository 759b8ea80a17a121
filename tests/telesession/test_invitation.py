"""Guests: codes that are good once, tokens that open one session and no data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count

import pytest

from tests.serving import outcome
from tests.telesession.ward import Reader, Ward, until, ward

NUMBERS = count(1)


@pytest.fixture(scope="module")
def place() -> Iterator[Ward]:
    with ward() as made:
        yield made


@pytest.fixture
def session(place: Ward) -> str:
    name = place.encounter(f"guests-{next(NUMBERS)}")
    # Guessing is counted over all sessions from one address: each test begins with none.
    place.clock.ahead += 3600
    place.join("doctor", name, role="host")
    return name


def test_an_invitation_is_taken_once_and_its_guest_waits(place: Ward, session: str):
    made = place.call("doctor", "POST", f"{session}/invitations", {"role": "relative", "name": "Chị Hoa"}).json()
    assert made["link"] == f"https://app.example/#/join/{session}/{made['code']}"
    taken = place.call("", "POST", f"{session}/guests", {"code": made["code"].upper()[:8] + "-" + made["code"][8:]})
    assert taken.status_code == 201
    outcome(place.call("", "POST", f"{session}/guests", {"code": made["code"]}), 410, "expired")
    me = place.join(taken.json()["token"], session, display="Someone else")
    assert (me["name"], me["role"], me["state"]) == ("Chị Hoa", "relative", "waiting")
    outcome(place.call(taken.json()["token"], "POST", f"{session}/invitations", {}), 409, "conflict")
    listed = place.call("doctor", "GET", f"{session}/invitations").json()["invitations"]
    assert [(each["state"], each["name"]) for each in listed] == [("used", "Chị Hoa")]
    assert made["code"] not in repr(listed)


def test_a_guests_token_opens_one_session_and_no_data(place: Ward, session: str):
    token = place.guest(session)
    other = place.encounter(f"{session}-other")
    outcome(place.call(token, "GET", other), 404, "not-found")
    outcome(place.call(token, "POST", f"{other}/participants", {}), 404, "not-found")
    for path in ("Patient/may", f"Encounter/{session}", "Observation", "metadata/../Patient"):
        assert place.ask(token, "GET", path).status_code in (401, 404)
    me = place.join(token, session, display="  \u202eKhách\x07  mời ")
    assert me["name"] == "Khách mời"
    outcome(place.call(token, "POST", f"{session}/participants", {"role": "host"}), 403, "forbidden")
    outcome(place.decide(token, session, me["id"], "admit"), 403, "forbidden")


def test_a_withdrawn_invitation_opens_nothing_and_its_guest_is_out(place: Ward, session: str):
    made = place.call("doctor", "POST", f"{session}/invitations", {}).json()
    token = place.call("", "POST", f"{session}/guests", {"code": made["code"]}).json()["token"]
    guest = place.join(token, session)
    place.decide("doctor", session, guest["id"], "admit")
    reader = Reader(place, token, session)
    reader.sees("snapshot")
    assert place.call("doctor", "DELETE", f"{session}/invitations/{made['id']}").status_code == 204
    reader.sees("ended")
    outcome(place.call(token, "GET", session), 401, "unknown")
    unused = place.call("doctor", "POST", f"{session}/invitations", {}).json()
    place.call("doctor", "DELETE", f"{session}/invitations/{unused['id']}")
    outcome(place.call("", "POST", f"{session}/guests", {"code": unused["code"]}), 410, "expired")
    outcome(place.call("doctor", "DELETE", f"{session}/invitations/other"), 404, "not-found")


def test_an_invitation_and_a_token_expire(place: Ward, session: str):
    made = place.call("doctor", "POST", f"{session}/invitations", {"minutes": 5}).json()
    token = place.guest(session)
    place.clock.ahead += 301
    outcome(place.call("", "POST", f"{session}/guests", {"code": made["code"]}), 410, "expired")
    place.clock.ahead += 6 * 3600
    outcome(place.call(token, "GET", session), 401, "expired")


@pytest.mark.parametrize(
    ("body", "code"),
    [({"role": "host"}, "value"), ({"role": "king"}, "value"), ({"minutes": 0}, "value"), ({"minutes": 10**9}, "value"),
     ({"minutes": "5"}, "invalid"), ({"name": 5}, "invalid")],
)  # fmt: skip
def test_an_invitation_that_cannot_be_made_is_refused(place: Ward, session: str, body: dict[str, object], code: str):
    outcome(place.call("doctor", "POST", f"{session}/invitations", body), 400, code)


def test_guessing_codes_is_stopped(place: Ward, session: str):
    made = place.call("doctor", "POST", f"{session}/invitations", {}).json()
    answers = [place.call("", "POST", f"{session}/guests", {"code": f"{number:016}"}) for number in range(40)]
    assert [each.status_code for each in answers].count(404) == 20
    outcome(answers[-1], 429, "throttled")
    outcome(place.call("", "POST", f"{session}/guests", {"code": made["code"]}), 429, "throttled")
    outcome(place.call("", "POST", "no-such-session/guests", {"code": made["code"]}), 429, "throttled")


def test_after_the_end_no_code_is_good(place: Ward, session: str):
    place.join("worker", session)
    invitations = [place.call("doctor", "POST", f"{session}/invitations", {}).json() for _ in range(2)]
    token = place.guest(session)
    place.call("doctor", "POST", f"{session}/end")
    outcome(place.call(token, "POST", f"{session}/participants", {}), 410, "deleted")
    listed = place.premises.invitations.listed
    until(lambda: {each["state"] for each in place.served.call(partial(listed, session))} == {"withdrawn", "used"})
    for made in invitations:
        outcome(place.call("", "POST", f"{session}/guests", {"code": made["code"]}), 410, "expired")
    place.clock.ahead += 1000
    until(lambda: place.call(token, "GET", session).status_code == 401)
    outcome(place.call("doctor", "GET", session), 410, "deleted")
