"""Reads the tables of providers, each on its own: an error in one must not disable the others."""

from collections.abc import Callable

from app.oauth_client.errors import Misconfigured
from app.oauth_client.provider import Provider, ProviderContext, ProviderSettings
from app.oauth_client.providers import PROVIDERS
from app.settings import Settings

RESERVED = frozenset({"password", "setup", "sign-up", "flask", "tornado", "unlink"})
"""Names that no provider may have: the other values of `auth_method`, and a word of a path."""
Make = Callable[[ProviderContext], Provider]


def configured(settings: Settings) -> tuple[dict[str, Make], list[str]]:
    """(a factory for each valid table, a line for each invalid one)."""
    good: dict[str, Make] = {}
    errors = []
    for name, table in settings.oauth.items():
        try:
            good[name] = _make(name, table, settings)
        except Misconfigured as error:
            errors.append(str(error))
    return good, errors


def provider_errors(settings: Settings) -> list[str]:
    return configured(settings)[1]


def _make(name: str, table: dict[str, object], all_settings: Settings) -> Make:
    if name in RESERVED:
        raise Misconfigured(f"oauth.{name}: this name is taken, choose another")
    kind = PROVIDERS.get(str(table.get("type")))
    if kind is None:
        raise Misconfigured(f"oauth.{name}.type: must be one of {', '.join(sorted(PROVIDERS))}")
    others = {"wechat": all_settings.wechat, "wechat_platform": all_settings.wechat_platform}
    settings: ProviderSettings = kind.settings.read(name, table, private=all_settings.private_providers, others=others)
    return lambda context: kind.make(name, settings, context)
