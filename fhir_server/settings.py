"""What an operator can set: the only reader of the environment (variables `NHIPCAU_...`)."""

from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

AE_TITLE = r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$"
"""Up to 16 characters, none of them a backslash, no blanks around them (DICOM PS3.5, 6.2)."""


class DicomPeer(BaseModel):
    """A program that may talk DICOM to this server: its AE title, where it is, what it may do, how it is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: str = Field(pattern=AE_TITLE)
    host: IPvAnyNetwork
    may: tuple[Literal["store", "worklist", "mpps"], ...] = ("store", "worklist", "mpps")
    character_set: Literal["ISO_IR 192", "ISO_IR 100", "ISO_IR 6"] = "ISO_IR 192"


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
    dicom_port: int = Field(default=0, ge=0, le=65_535)
    dicom_host: str = "127.0.0.1"
    dicom_ae_title: str = Field(default="NHIPCAU", pattern=AE_TITLE)
    dicom_peers: tuple[DicomPeer, ...] = ()
    dicom_associations: int = Field(default=20, gt=0)
    dicom_pdu_bytes: int = Field(default=131_072, ge=4_096, le=1_048_576)
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
    import_bytes: int = Field(default=2_000_000_000, gt=0)
    export_jobs: int = Field(default=4, gt=0)
    export_hours: float = Field(default=24.0, gt=0)
    export_file_entries: int = Field(default=50_000, gt=0)
    query_bytes: int = Field(default=512_000_000, ge=64_000_000)
    query_seconds: int = Field(default=10, gt=0)
    smtp_url: str = ""
    smtp_from: str = "nhipcau@localhost"
    tele_blocks: tuple[int, ...] = ()
    tele_unsigned: tuple[Literal["visit", "conference", "imaging", "training"], ...] = ("visit", "imaging", "training")
    peers: tuple[str, ...] = ()
    peer_client: str = ""
    peer_key: str = ""
    peer_seconds: float = Field(default=2.0, gt=0)
    view_rows: int = Field(default=100_000, gt=0)
    audit_days: int = Field(default=3653, ge=366)

    media: str = "aiortc"
    media_addresses: tuple[str, ...] = ()
    media_ports: str = Field(default="", pattern=r"^(\d{4,5}-\d{4,5})?$")
    media_packets: int = Field(default=16_000, gt=0)
    ice_servers: tuple[str, ...] = ()
    turn_secret: str = ""
    janus_secret: str = ""
    janus_admin_key: str = ""

    province: str = Field(default="", pattern=r"^([0-9]{2})?$")
    ministry: str = ""
    ministry_client: str = ""
    ministry_key: str = ""
    report_rows: bool = False
    report_seconds: float = Field(default=3600.0, gt=0)

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

    @field_validator("media")
    @classmethod
    def _is_engine(cls, text: str) -> str:
        if text not in ("off", "aiortc") and not text.startswith(("janus=http://", "janus=https://")):
            message = f"{text!r} is no engine of media: off, aiortc, or janus=http://127.0.0.1:8088/janus,..."
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
