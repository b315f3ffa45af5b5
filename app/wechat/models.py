"""The accounts of the settings."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.settings import SettingsError

RESERVED = frozenset({"platform"})


class WeChatAccount(BaseModel):
    """The table `[wechat.<account>]`. `token` and `encoding_aes_key` are for callbacks."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    appid: str = Field(pattern="^[A-Za-z0-9_-]{1,64}$")
    secret: SecretStr
    token: SecretStr | None = None
    encoding_aes_key: SecretStr | None = None
    api_url: str = Field("https://api.weixin.qq.com", pattern=r"^https?://[A-Za-z0-9._-]+(:\d{1,5})?/?$")
    kind: Literal["service", "mini-program", "website"] = "service"
    token_api: Literal["stable", "classic"] = "stable"  # noqa: S105  the name of an API
    jssdk_origins: tuple[str, ...] = ()

    @field_validator("encoding_aes_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            key = base64.b64decode(value.get_secret_value() + "=", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise ValueError("must have 43 letters and digits")
        return value

    @property
    def base_url(self) -> str:
        return self.api_url.rstrip("/")


def configured_accounts(tables: Mapping[str, Mapping[str, Any]], *, private: bool) -> dict[str, WeChatAccount]:
    """The accounts by name. `private` allows plain HTTP. Raises SettingsError for a wrong table."""
    accounts: dict[str, WeChatAccount] = {}
    for name, table in tables.items():
        if name in RESERVED:
            raise SettingsError(f"wechat.{name}: this name is reserved, choose another")
        try:
            account = WeChatAccount.model_validate(table)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in ("wechat", name, *first["loc"]))
            raise SettingsError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
        if not private and not account.api_url.startswith("https://"):
            raise SettingsError(f"wechat.{name}.api_url: must begin with https://")
        accounts[name] = account
    return accounts
