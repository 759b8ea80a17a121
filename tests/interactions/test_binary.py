import base64

import pytest

from tests.serving import outcome

CONTENT = "<script>alert('Xin chào')</script>".encode()


def test_content_goes_in_and_comes_out_as_it_is(server):
    made = server.ask("POST", "Binary", CONTENT, content_type="text/html; charset=utf-8")
    assert made.status_code == 201
    path = f"Binary/{made.json()['id']}"
    answer = server.get(path)
    assert (answer.content, answer.headers["content-type"]) == (CONTENT, "text/html; charset=utf-8")
    assert server.get(f"{path}/_history/1", accept="text/html, */*").content == CONTENT


def test_a_browser_does_not_run_what_was_stored(server):
    made = server.ask("POST", "Binary", CONTENT, content_type="text/html")
    headers = server.get(f"Binary/{made.json()['id']}").headers
    assert headers["content-disposition"] == "attachment"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


@pytest.mark.parametrize("wish", [{"accept": "application/fhir+json"}, {"accept": "application/json"}])
def test_the_resource_can_be_had_too(server, wish):
    made = server.ask("POST", "Binary", CONTENT, content_type="text/html")
    body = server.get(f"Binary/{made.json()['id']}", **wish).json()
    assert (body["resourceType"], body["contentType"]) == ("Binary", "text/html")
    assert base64.b64decode(body["data"]) == CONTENT


def test_content_can_be_updated(server):
    assert server.ask("PUT", "Binary/b", b"one", content_type="text/plain").status_code == 201
    assert server.ask("PUT", "Binary/b", b"two", content_type="text/plain", if_match='W/"1"').status_code == 200
    assert server.get("Binary/b").content == b"two"
    outcome(server.ask("PUT", "Binary/b", b"three", content_type="text/plain", if_match='W/"1"'), 412, "conflict")


def test_whose_content_it_is_may_be_said(server, patient):
    context = f"Patient/{patient['id']}"
    made = server.ask("POST", "Binary", b"a", content_type="text/plain", x_security_context=context)
    assert made.json()["securityContext"] == {"reference": context}


def test_a_binary_resource_is_taken_as_one(server):
    body = {"resourceType": "Binary", "contentType": "image/png", "data": base64.b64encode(b"\x89PNG").decode()}
    stored = server.create(body)
    assert server.get(f"Binary/{stored['id']}").content == b"\x89PNG"
    outcome(server.ask("POST", "Binary", {**body, "data": "AAAA " * 24 + "!"}), 400, "value")
    assert server.ask("POST", "Patient", b"a", content_type="text/plain").status_code == 415
