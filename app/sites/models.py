"""A site, as it is stored and as requests need it."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from zlib import crc32

import orjson

from app.sites.page_address import PathRules, compare_host

BUCKETS = 16
"""Hash tags over which sites are spread."""
SITE_ID = re.compile(r"[a-z0-9]{10}")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Privacy(StrEnum):
    """The counting of a visitor who asks not to be tracked."""

    TOTAL = "total"
    NOTHING = "nothing"


class May(StrEnum):
    VIEW = "view"
    EDIT = "edit"


def bucket_of(site_id: str) -> int:
    return crc32(site_id.encode()) % BUCKETS


@dataclass(frozen=True, slots=True)
class Site:
    id: str
    name: str
    hosts: tuple[str, ...]
    """As the owner entered them, in lower case."""
    owner: str
    """A user's id."""
    created: float
    time_zone: str = "UTC"
    rules: PathRules = field(default_factory=PathRules)
    max_paths: int = 10_000
    public: bool = False
    privacy: Privacy = Privacy.TOTAL
    frame: tuple[str, ...] = ()
    """Origins whose pages may frame the dashboard."""
    ignore: tuple[str, ...] = ()
    """Addresses and networks whose visits are not counted."""
    retention_days: int = 0
    """Days for which the detail of a day is kept; 0 for ever."""
    people: Mapping[str, May] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    """Hashes of share tokens, and when each was made."""
    revision: int = 0
    """Changes whenever counts change by anything but hits: derived values are invalid then."""
    bucket: int = 0
    compare_hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    stored_settings: bytes = field(default=b"", repr=False)
    """The stored text, which a change compares."""

    def ignores(self, address: str) -> bool:
        if not self.networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return any((mapped or parsed) in network for network in self.networks)


def site_from_hash(site_id: str, fields: Mapping[bytes, bytes]) -> Site:
    """Raises KeyError and ValueError for a hash that is no site's."""
    from_json = orjson.loads(fields[b"settings"])
    hosts, ignore = tuple(from_json["hosts"]), tuple(from_json.get("ignore", ()))
    return Site(
        id=site_id,
        name=from_json["name"],
        hosts=hosts,
        owner=fields[b"owner"].decode(),
        created=float(fields[b"created"]),
        time_zone=from_json["time_zone"],
        rules=PathRules(
            frozenset(from_json.get("keep_query", ())),
            from_json.get("trailing_slash", False),
            from_json.get("lower_case", False),
        ),
        max_paths=from_json.get("max_paths", 10_000),
        public=from_json.get("public", False),
        privacy=Privacy(from_json.get("privacy", "total")),
        frame=tuple(from_json.get("frame", ())),
        ignore=ignore,
        retention_days=from_json.get("retention_days", 0),
        people={name[4:].decode(): May(value.decode()) for name, value in fields.items() if name.startswith(b"may:")},
        shares={name[6:].decode(): float(value) for name, value in fields.items() if name.startswith(b"share:")},
        revision=int(fields.get(b"revision", b"0")),
        bucket=bucket_of(site_id),
        compare_hosts=frozenset(compare_host(host) for host in hosts),
        stored_settings=fields[b"settings"],
        networks=tuple(ipaddress.ip_network(text, strict=False) for text in ignore),
    )


def settings_of(site: Site) -> dict[str, object]:
    """The owner's settings of a site, as they are stored and exported."""
    return {
        "name": site.name,
        "hosts": list(site.hosts),
        "time_zone": site.time_zone,
        "keep_query": sorted(site.rules.keep_query),
        "trailing_slash": site.rules.trailing_slash,
        "lower_case": site.rules.lower_case,
        "max_paths": site.max_paths,
        "public": site.public,
        "privacy": site.privacy.value,
        "frame": list(site.frame),
        "ignore": list(site.ignore),
        "retention_days": site.retention_days,
    }
