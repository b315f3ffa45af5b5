"""The types of providers: a new one is a file here and a line."""

from typing import Any

from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.provider import ProviderType
from app.oauth_client.providers.github import GitHub, GitHubSettings
from app.oauth_client.providers.oidc import Oidc
from app.oauth_client.providers.wechat import WeChat, WeChatSettings

PROVIDERS: dict[str, ProviderType[Any]] = {
    "oidc": ProviderType(OidcSettings, Oidc),
    "github": ProviderType(GitHubSettings, GitHub),
    "wechat": ProviderType(WeChatSettings, WeChat),
}
