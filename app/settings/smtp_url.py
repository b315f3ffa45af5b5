"""The address of a mail server: `smtp://user:password@host:587` or `smtps://...`. Pure."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """`starttls`: False only where the address says `?starttls=no`, for a server on the same machine or network."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: bool = True

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError, without repeating the address: it holds a password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("has a port or a host that cannot be") from None
        if parts.scheme not in PORTS or not HOST.fullmatch(host) or parts.path not in ("", "/") or parts.fragment:
            raise ValueError("must be an address such as smtp://user:password@mail.example.com:587, or smtps://...")
        if port == 0:
            raise ValueError("has a port or a host that cannot be")
        if parts.query not in ("", "starttls=no") or (parts.query and parts.scheme == "smtps"):
            raise ValueError("knows one option, ?starttls=no, for smtp:// only")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if password and not user:
            raise ValueError("has a password without a user")
        return cls(
            host, port or PORTS[parts.scheme], user, password, tls=parts.scheme == "smtps", starttls=not parts.query
        )
