"""Every setting: its name, its default and what it is for. Groups of them are in hook_fields, mail_fields, page_fields,
runtime_fields and session_fields.

A value is taken from, in this order: the command line, `TALLYGATE_<NAME>` in the environment, `.env`,
`TALLYGATE_<NAME>_FILE` (a file that holds the value: a mounted secret), the TOML file, the default.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.settings.checks import domain, free_path, host_names, networks, provider_names
from app.settings.hook_fields import HookSettings
from app.settings.mail_fields import MailSettings
from app.settings.page_fields import PageSettings
from app.settings.runtime_fields import RuntimeSettings
from app.settings.session_fields import SessionSettings
from app.settings.sources import PREFIX
from app.store.redis_url import parse

DEVELOPMENT_KEY = "development-only-secret-key"
TEBIBYTE = 2**40
FORMER_NAMES = {
    "session_idle": "session_idle_timeout",
    "session_lifetime": "session_absolute_timeout",
    "max_waiting_hits": "max_queued_hits",
}
"""Names that settings had before; they still work everywhere."""
TABLES = frozenset({"clients", "oauth", "services", "wechat", "wechat_platform"})
"""Settings that hold tables, which variables such as TALLYGATE_OAUTH__GOOGLE__ISSUER reach, too."""
OUTGOING_PROXY = re.compile(r"https?://([^\s/@?#]+@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?")


class Settings(SessionSettings, HookSettings, MailSettings, PageSettings, RuntimeSettings):
    """The settings. Immutable; made by `load_settings`, or directly in tests."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    environment: Literal["development", "production"] = Field(
        "development", description="`production` refuses every insecure default, such as the development secret key."
    )
    host: str = Field(
        "127.0.0.1", min_length=1, description="Address to listen on; `::` for every one, of IPv4 and IPv6."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    keep_alive: int = Field(
        75,
        ge=1,
        le=3600,
        description="Seconds for which an idle connection is kept: longer than the proxy in front keeps it (nginx: 60 "
        "s), or the proxy sends requests down connections that are being closed (502).",
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that answer requests.")
    data_dir: Path = Field(
        Path("data"), description="Folder of the embedded Valkey's data; made when missing. Unused with `redis_url`."
    )
    redis_url: SecretStr | None = Field(
        None, description="The Redis or Valkey to use (see below); without it the service runs its own embedded Valkey."
    )
    redis_password: SecretStr | None = Field(
        None,
        description="The password of `redis_url` where that has none in it: a password may then be a file of its own.",
    )
    redis_timeout: float = Field(
        2.0, gt=0, le=60, description="Seconds until an unanswered command or connection attempt counts as failed."
    )
    secret_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_KEY),
        min_length=1,
        description="Signs what leaves the service, such as cookies: 32 characters or more, the same for all workers.",
    )
    old_secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Former secret keys, and the next one, separated by commas or lines, or as a JSON list (keys with "
        "commas): they verify, and do not sign.",
    )
    registration: Literal["closed", "invitation", "open"] = Field(
        "closed", description="Who may sign up: no one, people with an invitation link, or everyone."
    )
    oauth: Annotated[dict[str, dict[str, Any]], NoDecode, AfterValidator(provider_names)] = Field(
        {},
        repr=False,
        description="Providers to sign in with, each a table `[oauth.<name>]` of the TOML file, or variables such as "
        "`TALLYGATE_OAUTH__<NAME>__ISSUER`, or all in one as JSON (see docs/oauth.md).",
    )
    oauth_timeout: float = Field(
        8.0, gt=0, le=60, description="Seconds until a provider that has not answered counts as away."
    )
    oauth_private_addresses: bool | None = Field(
        None,
        description="Whether providers, and the `logout_uri` of clients, may be at private addresses, and without "
        "HTTPS; by default in development only.",
    )
    oauth_ca_file: Path | None = Field(
        None,
        description="PEM file of certificate authorities to trust beside the public ones: for providers and "
        "mail servers whose certificates are of one of your own.",
    )
    services: Annotated[dict[str, dict[str, Any]], NoDecode] = Field(
        {}, repr=False, description="Services, each a table `[services.<name>]` of hashes of tokens and grants."
    )
    wechat: Annotated[dict[str, dict[str, Any]], NoDecode] = Field(
        {}, repr=False, description="WeChat accounts, each a table `[wechat.<account>]` (see docs/wechat.md)."
    )
    wechat_platform: Annotated[dict[str, dict[str, Any]], NoDecode] = Field(
        {},
        repr=False,
        description="Third-party platforms of WeChat's open platform, each a table `[wechat_platform.<name>]`.",
    )
    wechat_timeout: float = Field(10.0, gt=0, le=120, description="Seconds that a call of WeChat may take.")
    clients: Annotated[dict[str, dict[str, Any]], NoDecode] = Field(
        {},
        repr=False,
        description="Services that sign people in here, each a table `[clients.<id>]` of the TOML file, or all in one "
        "as JSON (see docs/identity-provider.md).",
    )
    rules: Annotated[tuple[dict[str, Any], ...], NoDecode] = Field(
        (),
        description="Who may see which protected sites, each rule a table `[[rules]]` of the TOML file, or all in one "
        "as JSON (see docs/gateway.md).",
    )
    gateway_cookie_domain: Annotated[str | None, AfterValidator(domain)] = Field(
        None,
        description="Domain whose protected hosts share one sign-in and one cookie: `example.com`. Every application "
        "below the domain can then use its visitors' sign-ins at the others. None: a cookie for each host.",
    )
    outgoing_proxy: SecretStr | None = Field(
        None,
        description="HTTP proxy that requests to providers go through: `http://user:password@proxy.internal:3128`.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, AfterValidator(networks)] = Field(
        (),
        description="Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by "
        "commas (`unix` for a unix socket, `dns:nginx` for the addresses of that name); nobody's by default.",
    )
    legacy_flask_secret: SecretStr | None = Field(
        None,
        description="Secret key of a Flask app that was here before: its cookies are turned into sessions, once.",
    )
    legacy_tornado_secret: SecretStr | None = Field(
        None,
        description="Cookie secret of a Tornado app that was here before: likewise for its secure cookies.",
    )
    legacy_cookie: str = Field(
        "", description="Name of the old app's cookie; by default `session` for Flask, `user` for Tornado."
    )
    legacy_user_key: str = Field(
        "user", description="Key that holds the user's name in the old Flask session, or in the old cookie's JSON."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, AfterValidator(host_names)] = Field(
        (), description="Host names that requests may name, separated by commas; empty allows every well-formed one."
    )
    max_body_bytes: int = Field(
        1_048_576, ge=1024, le=TEBIBYTE, description="Largest request body, in bytes; more is answered 413."
    )
    max_streams: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Event streams and long polls (visits, sites, configuration) that a worker keeps open together; "
        "more are answered 503.",
    )
    max_queued_hits: int = Field(
        1_000_000,
        ge=1,
        le=1_000_000_000,
        description="Visits a worker keeps while Redis is away; more are dropped, and metrics say so.",
    )
    collect_path: Annotated[str, AfterValidator(free_path)] = Field(
        "c",
        pattern="^[A-Za-z0-9_-]{1,32}$",
        description="First part of the addresses that pages of counted sites load: another one where blockers know it.",
    )
    referrer_spam: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts, separated by commas, whose visits to counted sites are spam, beside those known."
    )
    geoip_file: Path | None = Field(
        None, description="Database of countries in MaxMind's format (.mmdb); without it no countries are counted."
    )
    countapi: bool = Field(False, description="Serves CountAPI's and abacus' protocol at `/countapi/`, for anybody.")
    max_import_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        le=TEBIBYTE,
        description="Largest file of visits to import, as uploaded and unpacked.",
    )
    log_file: Path | None = Field(
        None, description="File for the log, opened again on SIGHUP so that it can be rotated; without it, stderr."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    tracing: bool = Field(
        False,
        description="Sends OpenTelemetry traces to where `OTEL_EXPORTER_OTLP_ENDPOINT` says; needs "
        "`tallygate[tracing]` (docs/operations.md).",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of its own for Prometheus' `/metrics` (no sign-in there)."
    )
    metrics_token: SecretStr | None = Field(
        None, description="With it, the public port serves `/metrics` too, for `Authorization: Bearer <token>`."
    )
    metrics_file: Path | None = Field(
        None, description="File in which the workers of one server add up their metrics; `--workers` makes one."
    )

    @field_validator(
        "allowed_hosts",
        "counter_reached",
        "hooks",
        "old_secret_keys",
        "referrer_spam",
        "site_reached",
        "trusted_proxies",
        "webhook_retries",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """Parts separated by commas or lines; a JSON list where a part has a comma, or spaces around it."""
        if not isinstance(value, str) or value.startswith('["'):
            return cls._tables(value)
        return [part.strip() for part in value.replace("\n", ",").split(",") if part.strip()]

    @field_validator("clients", "oauth", "rate_limits", "rules", "services", "wechat", "wechat_platform", mode="before")
    @classmethod
    def _tables(cls, value: object) -> object:
        """One variable may hold all tables as JSON."""
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise ValueError("is not valid JSON") from None

    @field_validator("outgoing_proxy")
    @classmethod
    def _proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not OUTGOING_PROXY.fullmatch(value.get_secret_value()):
            raise ValueError("must be an address such as http://proxy.internal:3128")
        return value

    @field_validator("redis_url")
    @classmethod
    def _readable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.production and _is_weak(self.secret_key):
            raise ValueError(
                "secret_key: production needs a key of its own of 32 characters or more: set "
                "TALLYGATE_SECRET_KEY, or TALLYGATE_SECRET_KEY_FILE, to the output of `openssl rand -hex 32`"
            )
        if self.production and any(map(_is_weak, self.old_secret_keys)):
            raise ValueError(
                "old_secret_keys (TALLYGATE_OLD_SECRET_KEYS): production believes no key of fewer than 32 characters, "
                "such as the one of development: take it out, or write a key with a comma as a JSON list"
            )
        return self

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def sends_mail(self) -> bool:
        """Whether mails can be sent: links in them begin with `public_url`, never with what a request says."""
        return bool(self.smtp_url and self.mail_from and self.public_url)

    @property
    def legacy(self) -> bool:
        """Whether cookies of a former app are accepted."""
        return self.legacy_flask_secret is not None or self.legacy_tornado_secret is not None

    @property
    def private_providers(self) -> bool:
        """Whether providers may be at private addresses, and without HTTPS."""
        return not self.production if self.oauth_private_addresses is None else self.oauth_private_addresses

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads nothing but the arguments: `load_settings` reads the environment, tests do not."""
        return (init_settings,)


def _is_weak(key: SecretStr) -> bool:
    return len(key) < 32 or key.get_secret_value() == DEVELOPMENT_KEY
