"""Log-ins that are guessed, forged or planted (rows 71 and 72 of the catalogue), and what our pages let others do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pyotp
import pytest

from fhir_server.auth.event import Event
from fhir_server.auth.page import WORDS
from tests.auth.node import PASSWORD, PEOPLE, Node, asking, assertion_of, own_request, returned

TOTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with asking() as made:
        strict = replace(PEOPLE[0], login="strict", totp=TOTP)
        fresh = replace(PEOPLE[0], login="fresh", must_change=True)
        admin = replace(PEOPLE[0], login="admin", roles=("facility-admin",))
        for person in (strict, fresh, admin):
            made.authority.records.add("person", person.login, person.as_json())
        yield made


@pytest.fixture(autouse=True)
def forgiven(node: Node) -> None:
    """The server forgets who failed before, and who was logged in."""
    node.clock.ahead = 0
    node.forgive()


def opened(node: Node, **changed: str) -> httpx.Response:
    return node.open(client_id="trusted", scope="user/*.rs", **changed)[0]


def code_of(node: Node, ahead: int = 0) -> str:
    return pyotp.TOTP(TOTP).at(int(node.clock()) + ahead)


@pytest.mark.parametrize("token", ["", "x" * 64, None])
def test_71_a_form_of_another_page_logs_nobody_in(node: Node, token: str | None):
    page = opened(node)
    target = page.request.url.raw_path.decode()
    fields = {"step": "login", "login": "lan", "password": PASSWORD} | ({} if token is None else {"token": token})
    answer = node.post(target, fields)
    assert answer.status_code == 400
    assert WORDS["login.stale"]["vi"] in answer.text
    assert 'name="password"' in opened(node).text


def test_71_a_form_that_another_site_sends_is_refused(node: Node):
    page = opened(node)
    hidden = re.search(r'name="token" value="([^"]+)"', page.text)
    assert hidden
    fields = {"step": "login", "login": "lan", "password": PASSWORD, "token": hidden[1]}
    answer = node.post(page.request.url.raw_path.decode(), fields, **{"sec-fetch-site": "cross-site"})
    assert answer.status_code == 400


def test_71_the_token_of_another_browser_is_worth_nothing(node: Node):
    hidden = re.search(r'name="token" value="([^"]+)"', opened(node).text)
    assert hidden
    node.forget()
    page = opened(node)
    fields = {"step": "login", "login": "lan", "password": PASSWORD, "token": hidden[1]}
    assert node.post(page.request.url.raw_path.decode(), fields).status_code == 400


def test_71_a_planted_cookie_is_not_the_one_that_logs_in(node: Node):
    page = opened(node)
    planted = node.cookies.get("nhipcau")
    node.login(page)
    assert node.cookies.get("nhipcau") != planted
    node.forget()
    node.cookies.set("nhipcau", planted or "", domain="node", path="/")
    assert 'name="password"' in opened(node).text


def test_71_the_answer_names_its_issuer(node: Node):
    assert returned(node.login(opened(node)))["iss"] == "http://node/auth"


def test_71_a_decision_cannot_be_posted_from_elsewhere(node: Node):
    page, _ = node.open(scope="user/*.rs")
    page = node.login(page)
    target = page.request.url.raw_path.decode()
    answer = node.post(target, {"step": "consent", "answer": "yes", "scope": "user/*.rs", "token": "forged"})
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_71_what_was_not_asked_is_not_granted_by_a_forged_form(node: Node):
    page, verifier = node.open(scope="user/Patient.rs")
    page = node.login(page)
    page = node.submit(page, step="consent", answer="yes", scope=["user/Patient.rs", "user/*.cruds", "system/*.cruds"])
    told = node.redeem(returned(page)["code"], verifier).json()
    assert told["scope"] == "user/Patient.rs"


def test_71_a_patient_that_the_person_may_not_see_is_no_context(node: Node):
    page, _ = node.open(scope="launch/patient patient/*.rs")
    page = node.login(page, "lan")
    target = page.request.url.raw_path.decode()
    hidden = re.search(r'name="token" value="([^"]+)"', page.text)
    assert hidden
    for patient in ("nobody", "../Patient/may", "may?x=", ""):
        answer = node.post(target, {"step": "choose", "patient": patient, "token": hidden[1]})
        assert "location" not in answer.headers
        assert 'name="find"' in answer.text


def test_71_a_patient_who_logs_in_is_no_other(node: Node):
    page, verifier = node.open(scope="launch/patient patient/*.rs")
    page = node.login(page, "may")
    page = node.agreed(page)
    target = f"{page.request.url.raw_path.decode()}&patient=hoa"
    assert target
    told = node.redeem(returned(page)["code"], verifier).json()
    assert told["patient"] == "may"


def test_72_a_password_is_guessed_ten_times(node: Node):
    page = opened(node)
    statuses = []
    for guess in range(14):
        page = node.submit(page, step="login", login="lan", password=f"guess {guess}")
        statuses.append(page.status_code)
    assert statuses == [400] * 10 + [429] * 4
    # Nor does the right one help any more, until the quarter of an hour is over.
    assert node.submit(page, step="login", login="lan", password=PASSWORD).status_code == 429
    node.clock.ahead += 901
    assert "code" in returned(node.login(page))


def test_72_nobody_learns_who_there_is(node: Node):
    page = opened(node)
    texts, seconds = set(), []
    for login in ("lan", "nobody-of-this-name"):
        started = time.perf_counter()
        answer = node.submit(page, step="login", login=login, password="wrong, and long enough")
        seconds.append(time.perf_counter() - started)
        shown = re.sub(r'value="[^"]*"', "", answer.text)
        texts.add((answer.status_code, shown))
    assert len(texts) == 1
    # Both compare an Argon2 hash; without that nobody's would take a tenth.
    assert seconds[1] > seconds[0] / 4


def test_72_a_secret_is_guessed_ten_times(node: Node):
    fields = {"grant_type": "authorization_code", "code": "c", "client_id": "confidential", "client_secret": "wrong"}
    statuses = [node.post("/auth/token", fields).status_code for _ in range(13)]
    assert statuses == [400] * 10 + [429] * 3
    assert node.post("/auth/token", fields).json()["error"] == "slow_down"
    assert node.post("/auth/token", own_request(assertion=assertion_of())).status_code == 200


def test_72_a_second_factor_is_guessed_five_times(node: Node):
    page = node.login(opened(node), "strict")
    assert WORDS["factor.title"]["vi"] in page.text
    statuses = []
    for guess in range(7):
        page = node.submit(page, step="second-factor", code=f"{guess:06}")
        statuses.append(page.status_code)
    assert statuses == [400] * 5 + [429] * 2


def test_72_a_second_factor_is_good_once(node: Node):
    page = node.follow(node.submit(node.login(opened(node), "strict"), step="second-factor", code=code_of(node)))
    assert "code" in returned(page)
    node.forget()
    again = node.submit(node.login(opened(node), "strict"), step="second-factor", code=code_of(node))
    assert again.status_code == 400
    node.clock.ahead += 60
    assert "code" in returned(node.follow(node.submit(again, step="second-factor", code=code_of(node))))


def test_72_the_password_alone_opens_nothing_where_a_second_factor_is_due(node: Node):
    node.login(opened(node), "strict")
    assert 'name="code"' in opened(node).text
    assert 'name="code"' in node.get("/auth/account").text
    assert returned(opened(node, prompt="none"))["error"] == "login_required"


def test_a_password_that_somebody_else_chose_is_changed_first(node: Node):
    page = node.login(opened(node), "fresh")
    assert WORDS["password.must"]["vi"] in page.text
    wrong = {
        "password.wrong": ("wrong wrong", "a new sentence", "a new sentence"),
        "password.short": (PASSWORD, "short", "short"),
        "password.easy": (PASSWORD, "fresh-fresh-fresh", "fresh-fresh-fresh"),
        "password.differ": (PASSWORD, "a new sentence", "another sentence"),
        "password.same": (PASSWORD, PASSWORD, PASSWORD),
    }
    for key, (current, new, again) in wrong.items():
        page = node.submit(page, step="password", current=current, new=new, again=again)
        assert page.status_code == 400
        assert WORDS[key]["vi"] in page.text
    page = node.submit(page, step="password", current=PASSWORD, new="một câu khác hẳn", again="một câu khác hẳn")
    assert "code" in returned(node.follow(page))
    node.forget()
    assert node.login(opened(node), "fresh").status_code == 400
    assert "code" in returned(node.login(opened(node), "fresh", "một câu khác hẳn"))


def test_some_roles_set_up_a_second_factor_first(node: Node):
    page = node.login(opened(node), "admin")
    assert WORDS["enrol.title"]["vi"] in page.text
    secret = re.search(r"<code>([A-Z2-7 ]{32,})</code>", page.text)
    assert secret
    page = node.submit(page, step="enrol", code="000000")
    assert page.status_code == 400
    assert secret[1] in page.text
    code = pyotp.TOTP(secret[1].replace(" ", "")).at(int(node.clock()))
    page = node.follow(node.submit(page, step="enrol", code=code))
    assert "code" in returned(page)
    person = node.authority.server.query_person("admin")
    assert person is not None
    assert person.totp == secret[1].replace(" ", "")


def test_a_person_takes_back_what_they_allowed(node: Node):
    told = node.tokens(scope="user/*.rs")
    assert node.get("/fhir/Patient/may", told["access_token"]).status_code == 200
    page = node.get("/auth/account")
    assert "Sổ khám" in page.text
    while 'value="withdraw"' in page.text:
        page = node.follow(node.submit(page, step="withdraw"))
    assert node.get("/fhir/Patient/may", told["access_token"]).status_code == 401
    assert "Sổ khám" not in node.get("/auth/account").text


def test_a_person_does_not_take_back_what_another_allowed(node: Node):
    told = node.tokens(scope="user/*.rs")
    (grant,) = [name for name, record in node.authority.records.listed("grant") if record.body["person"] == "lan"][-1:]
    node.forget()
    page = node.login(node.get("/auth/account"), "may")
    hidden = re.search(r'name="token" value="([^"]+)"', page.text)
    assert hidden
    node.post("/auth/account", {"step": "withdraw", "grant": grant, "token": hidden[1]})
    assert node.get("/fhir/Patient/may", told["access_token"]).status_code == 200


def test_who_logs_out_is_out(node: Node):
    page = node.login(node.get("/auth/account"))
    assert "Nguyễn Thị Lan" in page.text
    page = node.follow(node.submit(page, step="logout"))
    assert 'name="password"' in page.text


PAGES = ["/auth/account", "/auth/password", "/auth/second-factor", "/auth/authorize", "/auth/authorize?client_id=x"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_run_no_script_and_stand_in_no_frame(node: Node, path: str):
    answer = node.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script| style=| on[a-z]+=\"", answer.text)


def test_a_form_leads_to_the_program_alone(node: Node):
    page, _ = node.open()
    assert "form-action 'self' http://127.0.0.1:9999;" in page.headers["content-security-policy"]


def test_cookies_are_for_our_pages_alone(node: Node):
    cookie = opened(node).headers.get_list("set-cookie")[0]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    with asking(base_url="https://fhir.example.vn/fhir") as secure:
        page = secure.get("/auth/account")
        cookie = page.headers.get_list("set-cookie")[0]
        assert cookie.startswith("__Host-nhipcau=")
        assert "Secure" in cookie


@pytest.mark.parametrize("language", ["vi", "en"])
def test_pages_speak_the_language_that_is_asked_for(node: Node, language: str):
    page = node.get(f"/auth/account?lang={language}")
    assert f'<html lang="{language}">' in page.text
    assert WORDS["login.title"][language] in page.text  # type: ignore[index]


def test_what_is_typed_is_shown_as_text(node: Node):
    page = node.submit(opened(node), step="login", login="<script>alert(1)</script>", password="x")
    assert "<script>alert" not in page.text


def test_log_ins_are_told_without_secrets(node: Node, capsys: pytest.CaptureFixture[str]):
    node.login(node.submit(opened(node), step="login", login="lan", password="wrong wrong wrong"))
    told = capsys.readouterr().out
    assert "login-failed" in told
    assert "kind=login" in told
    for secret in (PASSWORD, "wrong wrong", str(node.cookies.get("nhipcau"))):
        assert secret not in told
    assert set(Event.__slots__) == {"kind", "subject", "client", "address", "port", "text", "succeeded"}
