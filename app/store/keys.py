"""Every key in Redis: this page is the schema.

A part in braces is a Redis Cluster hash tag: keys that one script touches share it, so that one node holds them.

| key | type | holds | lifetime |
|---|---|---|---|
| `{hits}:totals` | hash | a counter's name -> its total | for ever |
| `{hits}:worker:<id>` | hash | `seq`: its last batch that was applied; `reply`: what was answered | 1 day unused |
| `{hits}:changed` | channel | totals have changed: look again | - |
| `session:<key>` | hash | a session: `u`ser, `c`reated, `s`een, `h`ow, `d`evice, `a`ddress, `x`: its data | idle timeout |
| `sessions-of:<user>` | sorted set | keys of the user's sessions, by the time of their absolute timeout | absolute timeout |
| `legacy-used:<digest>` | string | an old app's cookie that was turned into a session: only once | 31 days |
"""

HITS_TOTALS = "{hits}:totals"
HITS_CHANGED = "{hits}:changed"
HITS_WORKER_LIFETIME = 86_400_000
"""Milliseconds after which a worker that went away is forgotten; a living one renews it every second."""


def hits_worker(worker: str) -> str:
    return f"{{hits}}:worker:{worker}"


def session(key: str) -> str:
    return f"session:{key}"


def sessions_of(user: str) -> str:
    return f"sessions-of:{user}"


def legacy_used(digest: str) -> str:
    return f"legacy-used:{digest}"
