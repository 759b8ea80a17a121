"""What an operator can set: the only reader of the environment (variables `NHIPCAU_...`)."""

from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting with its default; docs/reference/settings.md explains each of them."""

    model_config = SettingsConfigDict(env_prefix="NHIPCAU_", frozen=True, extra="forbid")

    time_zone: str = "Asia/Ho_Chi_Minh"
    base_url: str = ""
    body_bytes: int = Field(default=10_000_000, gt=0)
    bundle_bytes: int = Field(default=50_000_000, gt=0)
    binary_bytes: int = Field(default=50_000_000, gt=0)
    image_bytes: int = Field(default=4_000_000_000, gt=0)
    archive: str = ""
    archive_copies_bytes: int = Field(default=10_000_000_000, gt=0)
    json_depth: int = Field(default=64, gt=0, le=150)
    json_keys: int = Field(default=100_000, gt=0)
    bundle_keys: int = Field(default=2_000_000, gt=0)
    string_characters: int = Field(default=1_048_576, gt=0)
    transaction_entries: int = Field(default=5_000, gt=0)
    batch_entries: int = Field(default=1_000, gt=0)
    url_bytes: int = Field(default=8_192, gt=0)
    header_bytes: int = Field(default=32_768, gt=0)
    head_seconds: float = Field(default=20.0, gt=0)
    body_seconds: float = Field(default=60.0, gt=0)
    gzip_bytes: int = Field(default=2_000, gt=0)
    page_entries: int = Field(default=20, gt=0)
    largest_page_entries: int = Field(default=1_000, gt=0)
    included_entries: int = Field(default=5_000, gt=0)
    connections: int = Field(default=1_000, gt=0)
    cors_origins: tuple[str, ...] = ("http://localhost:*", "http://127.0.0.1:*")
    validation_depth: Literal["write", "full"] = "write"
    validation: Literal["off", "base", "profiles"] = "base"
    referential_integrity: bool = True
    unchanged_makes_version: bool = False
    conditional_delete: int = Field(default=1, gt=0)
    logged_requests: Literal["failed", "all"] = "failed"
    organization: str = ""
    sharing_consent: Literal["needed", "assumed"] = "needed"
    export_jobs: int = Field(default=4, gt=0)
    export_hours: float = Field(default=24.0, gt=0)
    export_file_entries: int = Field(default=50_000, gt=0)
    view_rows: int = Field(default=100_000, gt=0)
    audit_days: int = Field(default=3653, ge=366)

    auth: Literal["on", "off"] = "off"
    client_registration: bool = False
    proxies: tuple[str, ...] = ()
    outbound_hosts: tuple[str, ...] = ()
    second_factor_roles: tuple[str, ...] = ("facility-admin", "province", "ministry")
    session_minutes: int = Field(default=480, gt=0)
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "RS384", "ES384")
    oidc_login_claim: str = "preferred_username"
    oidc_identifier_claim: str = ""
    oidc_identifier_system: str = ""
    oidc_roles_claim: str = "roles"
    oidc_organizations_claim: str = "organizations"
    oidc_assurance: tuple[str, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _is_known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            message = f"{name!r} is not a time zone of the IANA database, such as Asia/Ho_Chi_Minh"
            raise ValueError(message) from error
        return name

    @field_validator("archive")
    @classmethod
    def _is_archive(cls, text: str) -> str:
        if text and not text.startswith(("orthanc=http://", "orthanc=https://")):
            message = "it is no archive of images, such as orthanc=http://user:password@127.0.0.1:8042"
            raise ValueError(message)
        return text

    @field_validator("base_url")
    @classmethod
    def _has_no_slash_at_its_end(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            message = f"{url!r} is not the URL of a server, such as https://fhir.example.vn/fhir"
            raise ValueError(message)
        return url.rstrip("/")


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()
