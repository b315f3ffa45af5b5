"""Keys of accounts in Redis, beside app/store/keys.py.

| key | type | holds | lifetime |
|---|---|---|---|
| `known-origin:<hash>` | string | the user of a name signed in from this address or with this browser | 90 days |
"""


def known_origin(digest: str) -> str:
    return f"known-origin:{digest}"
