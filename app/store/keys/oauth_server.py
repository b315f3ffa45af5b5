"""Keys of the OpenID provider in Redis.

| key | type | holds | lifetime |
|---|---|---|---|
| `oauth-server:client:<id>` | hash | `client`: a client that administrators made, as JSON | for ever |
| `oauth-server:clients` | sorted set | ids of these clients, by when they were made | for ever |
| `oauth-server:family:<id>` | hash | what a sign-in to a client gave: code, tokens | 1 min; 30 days unused |
| `oauth-server:families:<user>` | sorted set | the user's families, by their last refresh | 30 days unused |
| `oauth-server:grants:<user>` | hash | a client's id -> scopes that the user agreed to, first and last use | for ever |
| `oauth-server:users:<client>` | sorted set | ids of users with a grant, by last use | for ever |
| `oauth-server:signed-in:<root>` | set | clients with a logout URI that a session signed in to | absolute timeout |
| `{oauth-logout}:due` | sorted set | ids of logout messages, by when they are due | an hour |
| `{oauth-logout}:messages` | hash | an id -> client, user, sid, tries | an hour |
| `oauth-server:logout-failed:<client>` | string | when the client last did not take a logout, and why | 30 days |
| `oauth-server:request:<hash>` | string | an authorization request that waits for its user | 15 min |
| `oauth-server:claim:<hash>` | string | such a request is being answered | 3 s |
| `oauth-server:pushed:<hash>` | string | parameters of a pushed authorization request | 90 s |
| `oauth-server:device:<hash>` | hash | a device that waits: client, scopes, state, family, polls | 10 min |
| `oauth-server:user-code:<code>` | string | the hash of the device that shows this code | 10 min |
| `oauth-server:registration:<hash>` | string | a token with which clients register: who made it | 7 days |
| `oauth-server:assertion:<hash>` | string | a used assertion of a client: a replay is refused | the assertion's |
| `oauth-server:salt` | string | the salt of pairwise subjects | for ever |
"""

from app.store.keys.key import Key

CLIENTS = "oauth-server:clients"
SALT = "oauth-server:salt"
LOGOUTS_DUE = "{oauth-logout}:due"
LOGOUTS = "{oauth-logout}:messages"
client = Key("oauth-server:client:<id>")
family = Key("oauth-server:family:<id>")
families = Key("oauth-server:families:<user>")
grants = Key("oauth-server:grants:<user>")
users = Key("oauth-server:users:<client>")
signed_in = Key("oauth-server:signed-in:<root>")
logout_failed = Key("oauth-server:logout-failed:<client>")
request = Key("oauth-server:request:<hash>")
claim = Key("oauth-server:claim:<hash>")
assertion = Key("oauth-server:assertion:<hash>")
pushed = Key("oauth-server:pushed:<hash>")
device = Key("oauth-server:device:<hash>")
user_code = Key("oauth-server:user-code:<code>")
registration = Key("oauth-server:registration:<hash>")
