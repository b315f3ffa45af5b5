"""Keys of the gateway in Redis.

| key | type | holds | lifetime |
|---|---|---|---|
| `gateway:handoff:<hash>` | hash | a browser on its way from a protected host to the portal | 15 min |
| `gateway:code:<hash>` | hash | the answer to a handoff; `ticket` once it is used | 1 min; used 10 min |
| `gateway:session:<hash>` | hash | a session at a protected host: user, host, the portal's session | absolute timeout |
| `gateway:answers` | hash | `<rule>:<answer>` -> how often the rule gave it | for ever |
"""

GATEWAY_ANSWERS = "gateway:answers"


def gateway_handoff(digest: str) -> str:
    return f"gateway:handoff:{digest}"


def gateway_code(digest: str) -> str:
    return f"gateway:code:{digest}"


def gateway_session(digest: str) -> str:
    return f"gateway:session:{digest}"
