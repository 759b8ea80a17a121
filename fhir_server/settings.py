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
    body_bytes: int = Field(default=10_000_000, gt=0)
    json_depth: int = Field(default=64, gt=0, le=1000)
    json_keys: int = Field(default=100_000, gt=0)
    string_characters: int = Field(default=1_048_576, gt=0)
    validation_depth: Literal["write", "full"] = "write"

    @field_validator("time_zone")
    @classmethod
    def _is_known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            message = f"{name!r} is not a time zone of the IANA database, such as Asia/Ho_Chi_Minh"
            raise ValueError(message) from error
        return name


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()
