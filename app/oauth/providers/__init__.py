"""Every type of provider: adding one is a file here and a line."""

from collections.abc import Callable, Mapping
from typing import Any

from app.oauth.provider import Provider, Tools
from app.oauth.providers.oidc import Oidc

PROVIDERS: dict[str, Callable[[str, Mapping[str, Any], Tools], Provider]] = {
    "oidc": Oidc,
}
