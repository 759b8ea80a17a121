"""A person allows a program to see data, and a program comes on its own: the whole way over HTTP."""

import pytest

from tests.auth.node import Node, asking, returned


@pytest.fixture(scope="module")
def node():
    with asking() as made:
        yield made


def test_a_backend_service_reads(node: Node):
    token = node.own_token()
    answer = node.get("/fhir/Patient/may", token)
    assert answer.status_code == 200, answer.text


def test_a_person_allows_a_program(node: Node):
    node.forget()
    page, verifier = node.open()
    assert page.status_code == 200
    assert "Đăng nhập" in page.text
    page = node.login(page)
    assert "Chọn người bệnh" in page.text
    page = node.submit(page, step="find", find="Mây")
    assert "Lý Thị Mây" in page.text
    page = node.submit(page, step="choose", patient="may")
    assert "checked" not in page.text
    page = node.agreed(page)
    back = returned(page)
    assert back["state"] == "a-state-that-nobody-guesses"
    told = node.redeem(back["code"], verifier)
    assert told.status_code == 200, told.text
    body = told.json()
    assert body["patient"] == "may"
    assert node.get("/fhir/Patient/may", body["access_token"]).status_code == 200
