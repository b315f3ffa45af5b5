"""Settings of sessions."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

TEN_YEARS = 3650 * 86_400
"""Seconds. A number that is too large for Redis' or a date's arithmetic would fail much later."""


class SessionSettings(BaseSettings):
    session_store: Literal["redis", "cookie"] = Field(
        "redis",
        description="Where sessions are: in Redis, or whole in the cookie, in Flask's format: those cannot be revoked.",
    )
    session_cookie: str = Field(
        "tallygate",
        pattern="^[A-Za-z0-9_-]{1,64}$",
        description="Name of the session cookie; `__Host-` before it over HTTPS.",
    )
    session_idle_timeout: int = Field(
        14 * 86_400,
        ge=60,
        le=TEN_YEARS,
        description="Seconds without a request after which a session ends (idle timeout).",
    )
    brief_session_idle_timeout: int = Field(
        12 * 3600,
        ge=60,
        le=TEN_YEARS,
        description='The idle timeout of a session that is to end with the browser (without "Stay signed in").',
    )
    session_absolute_timeout: int = Field(
        90 * 86_400,
        ge=60,
        le=TEN_YEARS,
        description="Seconds after signing in at which it ends in any case (absolute timeout).",
    )
    second_factor: Literal["optional", "administrators", "everybody"] = Field(
        "optional",
        description="Who has to have a passkey or an authenticator app: without one they can do nothing but set it up.",
    )
