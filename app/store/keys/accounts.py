"""Keys of accounts in Redis: second factors, known origins, e-mail links. Those of users and tokens are in __init__.py.

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

from app.store.keys.key import Key

known_origin = Key("known-origin:<hash>")
passkeys = Key("{accounts}:passkeys:<user>")
totp = Key("{accounts}:totp:<user>")
recovery_codes = Key("{accounts}:recovery-codes:<user>")
challenge = Key("{accounts}:challenge:<hash>")
pending_sign_in = Key("{accounts}:pending-sign-in:<hash>")
email_link = Key("{accounts}:email-link:<hash>")
