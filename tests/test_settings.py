import pytest
from pydantic import ValidationError

from fhir_server.settings import Settings


def test_a_variable_overrides_a_default(monkeypatch):
    monkeypatch.setenv("NHIPCAU_JSON_DEPTH", "32")
    assert Settings().json_depth == 32


@pytest.mark.parametrize(
    ("name", "value"),
    [("TIME_ZONE", "Asia/Atlantis"), ("JSON_DEPTH", "0"), ("BODY_BYTES", "many"), ("VALIDATION_DEPTH", "deep")],
)
def test_a_wrong_value_is_refused_at_the_start(monkeypatch, name, value):
    monkeypatch.setenv(f"NHIPCAU_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_do_not_change_while_the_server_runs():
    with pytest.raises(ValidationError):
        Settings().json_depth = 1
