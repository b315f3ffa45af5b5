"""Keys of accounts in Redis: second factors, known origins, e-mail links.

| key | type | holds | lifetime |
|---|---|---|---|
| `known-origin:<hash>` | string | the user of a name signed in from this address or with this browser | 90 days |
| `{accounts}:passkeys:<user>` | hash | the id of a passkey -> the passkey, as JSON | for ever |
| `{accounts}:totp:<user>` | hash | the secret of TOTP, encrypted; `step`: the last one used | for ever |
| `{accounts}:recovery-codes:<user>` | hash | the hash of a recovery code -> empty, or who used it | for ever |
| `{accounts}:challenge:<hash>` | string | what a passkey's challenge is for | 5 min |
| `{accounts}:pending-sign-in:<hash>` | string | a user whose password was right, before the second factor | 10 min |
| `{accounts}:email-link:<hash>` | hash | user, email, expires, used: verifies the address | 1 day |
"""


def known_origin(digest: str) -> str:
    return f"known-origin:{digest}"


def passkeys(user_id: str) -> str:
    return f"{{accounts}}:passkeys:{user_id}"


def totp(user_id: str) -> str:
    return f"{{accounts}}:totp:{user_id}"


def recovery_codes(user_id: str) -> str:
    return f"{{accounts}}:recovery-codes:{user_id}"


def challenge(digest: str) -> str:
    return f"{{accounts}}:challenge:{digest}"


def pending_sign_in(digest: str) -> str:
    return f"{{accounts}}:pending-sign-in:{digest}"


def email_link(digest: str) -> str:
    return f"{{accounts}}:email-link:{digest}"
