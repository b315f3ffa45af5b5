"""The types of providers: a new one is a file here and a line."""

from typing import Any

from app.oauth_client.oidc_settings import OidcSettings
from app.oauth_client.provider import ProviderType
from app.oauth_client.providers.apple import Apple, AppleSettings
from app.oauth_client.providers.dingtalk import DingTalk, DingTalkSettings
from app.oauth_client.providers.discord import Discord, DiscordSettings
from app.oauth_client.providers.feishu import Feishu, FeishuSettings
from app.oauth_client.providers.gitee import Gitee, GiteeSettings
from app.oauth_client.providers.github import GitHub, GitHubSettings
from app.oauth_client.providers.google import Google, GoogleSettings
from app.oauth_client.providers.linkedin import LinkedIn, LinkedInSettings
from app.oauth_client.providers.microsoft import Microsoft, MicrosoftSettings
from app.oauth_client.providers.oidc import Oidc
from app.oauth_client.providers.wechat import WeChat, WeChatSettings
from app.oauth_client.providers.wecom import WeCom, WeComSettings

PROVIDERS: dict[str, ProviderType[Any]] = {
    "oidc": ProviderType(OidcSettings, Oidc),
    "apple": ProviderType(AppleSettings, Apple),
    "dingtalk": ProviderType(DingTalkSettings, DingTalk),
    "discord": ProviderType(DiscordSettings, Discord),
    "feishu": ProviderType(FeishuSettings, Feishu),
    "gitee": ProviderType(GiteeSettings, Gitee),
    "github": ProviderType(GitHubSettings, GitHub),
    "google": ProviderType(GoogleSettings, Google),
    "linkedin": ProviderType(LinkedInSettings, LinkedIn),
    "microsoft": ProviderType(MicrosoftSettings, Microsoft),
    "wechat": ProviderType(WeChatSettings, WeChat),
    "wecom": ProviderType(WeComSettings, WeCom),
}
