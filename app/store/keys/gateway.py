"""Keys of the gateway in Redis.

| key | type | holds | lifetime |
|---|---|---|---|
| `gateway:handoff:<hash>` | hash | a browser on its way from a protected host to the portal | 15 min |
| `gateway:code:<hash>` | hash | the answer to a handoff; `ticket` once it is used | 1 min; used 10 min |
| `gateway:session:<hash>` | hash | a session at a protected host: user, host, the portal's session | absolute timeout |
| `gateway:answers` | hash | `<rule>:<answer>` -> how often the rule gave it | for ever |
"""

from app.store.keys.key import Key

GATEWAY_ANSWERS = "gateway:answers"
gateway_handoff = Key("gateway:handoff:<hash>")
gateway_code = Key("gateway:code:<hash>")
gateway_session = Key("gateway:session:<hash>")
