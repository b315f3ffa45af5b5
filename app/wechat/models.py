"""The accounts of the settings."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from app.settings import SettingsError

RESERVED = frozenset({"platform"})
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
Appid = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
Address = Annotated[
    str, Field(pattern=r"^https?://[A-Za-z0-9._-]+(:\d{1,5})?/?$"), AfterValidator(lambda url: url.rstrip("/"))
]


def _aes_key(value: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(value.get_secret_value() + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("must have 43 letters and digits")
    return value


AesKey = Annotated[SecretStr, AfterValidator(_aes_key)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    appid: Appid
    api_url: Address = "https://api.weixin.qq.com"


class WeChatAccount(Table):
    """The table `[wechat.<account>]`. `token` and `encoding_aes_key` are for callbacks."""

    secret: SecretStr
    token: SecretStr | None = None
    encoding_aes_key: AesKey | None = None
    kind: Literal["service", "mini-program", "website"] = "service"
    token_api: Literal["stable", "classic"] = "stable"  # noqa: S105  the name of an API
    jssdk_origins: tuple[Address, ...] = ()


class WeChatPlatform(Table):
    """The table `[wechat_platform.<name>]`: a third-party platform of the open platform."""

    secret: SecretStr
    token: SecretStr
    encoding_aes_key: AesKey
    open_url: Address = "https://mp.weixin.qq.com"
    jssdk_origins: dict[Appid, tuple[Address, ...]] = {}
    """Of authorised accounts, by appid."""


T = TypeVar("T", bound=Table)


def configured_accounts(tables: Mapping[str, Mapping[str, Any]], *, private: bool) -> dict[str, WeChatAccount]:
    """The accounts by name. `private` allows plain HTTP. Raises SettingsError for a wrong table."""
    return {name: _read("wechat", WeChatAccount, name, table, private) for name, table in tables.items()}


def configured_platforms(tables: Mapping[str, Mapping[str, Any]], *, private: bool) -> dict[str, WeChatPlatform]:
    """The platforms by name. `private` allows plain HTTP. Raises SettingsError for a wrong table."""
    return {name: _read("wechat_platform", WeChatPlatform, name, table, private) for name, table in tables.items()}


def _read(setting: str, model: type[T], name: str, table: Mapping[str, Any], private: bool) -> T:
    if name in RESERVED:
        raise SettingsError(f"{setting}.{name}: this name is reserved, choose another")
    if not NAME.fullmatch(name):
        raise SettingsError(f"{setting}: a name has 1 to 64 letters, digits, - and _")
    try:
        parsed = model.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in (setting, name, *first["loc"]))
        raise SettingsError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    for field in ("api_url", "open_url"):
        if not private and not getattr(parsed, field, "https://").startswith("https://"):
            raise SettingsError(f"{setting}.{name}.{field}: must begin with https://")
    for field in ("secret", "token"):  # an empty one would let anybody sign
        value: SecretStr | None = getattr(parsed, field)
        if value is not None and not value.get_secret_value():
            raise SettingsError(f"{setting}.{name}.{field}: must not be empty")
    return parsed
