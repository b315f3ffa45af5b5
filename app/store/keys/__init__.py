"""The keys in Redis: with the other modules of this package the schema, a table in each.

A part in braces is a Redis Cluster hash tag: keys that one script touches share it, so that one node holds them.

| key | type | holds | lifetime |
|---|---|---|---|
| `{hits}:totals` | hash | a counter's name -> its total | for ever |
| `{hits}:worker:<id>` | hash | `seq`: the last batch applied; `reply`: its reply | 1 day unused |
| `{hits}:changed` | channel | announces that totals have changed | - |
| `{sites:<bucket>}` | prefix | what the keys of the sites of one bucket of 16 begin with | - |
| `{sites:<bucket>}:worker:<id>` | hash | as for hits | 1 day unused |
| `{sites:<bucket>}:pending` | set | sites with reports that wait to be counted together | while there are some |
| `{sites:<bucket>}:site:<id>` | hash | a site: settings, owner, created, revision, people, shares | for ever |
| `{sites:<bucket>}:<site>:<part>` | various | a site's counts (app/sites/counting_script.py) | see there |
| `sites:all` | sorted set | ids of sites, by when they were made | for ever |
| `sites:hosts` | hash | a host name -> ids of the sites that name it, the one it belongs to first | for ever |
| `{sites:salts}:rewritten` | string | the append-only file was rewritten, so that old salts are gone | 20 h |
| `{sites:salts}:<zone>:<day>` | string | the salt of the hashes of a day's visitors in a time zone | the day's |
| `{sites:<bucket>}:countapi:<counter>` | hash | a counter of CountAPI: value, key (its hash), created | a year unused |
| `sites-of:<user>` | set | ids of the sites that a user may see | for ever |
| `session:<key>` | hash | a session: user, created, seen, auth method, device, address, its data | idle timeout |
| `session-current:<root>` | hash | `k`: the key of a session that has authenticated again | absolute timeout |
| `session-origin:<root>` | string | a session's identity and tokens at its provider, encrypted | the session's |
| `sessions-of:<user>` | sorted set | the user's sessions by when they were opened | a year unused |
| `legacy-used:<digest>` | string | a legacy cookie that became a session, so that it works once | 31 days |
| `legacy-ended:<user>` | string | the user ended all sessions: legacy cookies are refused | 31 days |
| `{accounts}:user:<id>` | hash | name, admin, disabled, locale, created, password hash, profile, groups | for ever |
| `{accounts}:names` | hash | a name's compare key -> the user's id | for ever |
| `{accounts}:names:sorted` | sorted set | the compare keys in their order, to search | for ever |
| `{accounts}:groups` | hash | a group's name -> when it was made | for ever |
| `{accounts}:group:<name>` | set | ids of the members of a group | for ever |
| `{accounts}:emails` | hash | a verified e-mail address -> the user's id | for ever |
| `{accounts}:admins` | set | ids of the administrators who are not disabled | for ever |
| `{accounts}:setup:nonce` | string | the nonce of the setup link | until there is an administrator |
| `{accounts}:setup:printed:<start>` | string | the one worker of a start that prints the setup link | 1 h |
| `{accounts}:invitations` | sorted set | hashes of invitations, by expiry | until used, withdrawn or expired |
| `{accounts}:invitation:<hash>` | hash | by, created, expires, email, note, admin, groups | the invitation's |
| `{accounts}:token:<hash>` | hash | a token: user (or service), name, created, expires | the token's |
| `{accounts}:services` | hash | the name of a service -> its id | for ever |
| `{accounts}:service:<id>` | hash | a service: name, created, grants | for ever |
| `{accounts}:tokens:<user>` | sorted set | hashes of a user's API tokens, by expiry | for ever |
| `{accounts}:waiting-form:<hash>` | string | a form, sealed, whose user authenticates at a provider | 15 min |
| `{accounts}:reset-link:<hash>` | hash | user, stamp (of the former password), expires, email | 1 day at most |
| `{accounts}:audit` | stream | the audit log: the last 10,000 entries | for ever |
| `{accounts}:identity:<hash>` | hash | the fields of an `Identity`, and its `user` | for ever |
| `{accounts}:identities:<user>` | set | hashes of a user's linked identities | for ever |
| `oauth:document:<hash>` | string | a provider's metadata document (by URL) and when it was fetched | 30 days |
| `oauth:refetch:<hash>` | string | the document was fetched again for an unknown key | 1 min |
| `oauth:attempt:<hash>` | string | the outcome of an authorization request | 15 min |
| `oauth:next:<hash>` | string | the path of an authorization request that is too long for its cookie | 10 min |
| `oauth:logout:<hash>` | string | a logout token that was obeyed, so that a replay is refused | 10 min |
| `oauth:session:<hash>` | string | a provider's session -> the user | absolute timeout |
| `oauth:refreshing:<session>` | string | the lock of the worker that is refreshing the tokens | a minute or two |
| `signing-keys` | hash | a key pair's name -> the encrypted pair and its times | for ever |
| `{config}:namespaces` | sorted set | names of the configuration's namespaces | for ever |
| `{config}:namespace:<name>` | hash | version, revision, items, schema, access; stamp of the last write | for ever |
| `{config}:history:<name>` | stream | versions: by, at, why, changes; ids are `<version>-0` | the last 1,000 |
| `config:changed` | channel | announces the name of a namespace that was written | - |
| `oauth:away:<provider>` | string | the provider did not answer: when to ask it again | 15 min |
| `oauth:asked:<provider>:<when>` | string | one session asks a provider that was away, the others go on | 1 min |
| `{<part>}:raised` | stream | events that were raised and not yet taken by the hooks | until taken |
| `{<part>}:raised:removed` | string | how many events have left it: others that are gone are lost | for ever |
| `events:raised` | channel | announces the stream in which an event was raised | - |
| `{events}:store-back` | string | when Redis was last back, so that one worker tells | 1 h |
| `{hooks}:webhooks` | hash | a webhook's id -> the webhook, its secret encrypted | for ever |
| `{hooks}:log` | stream | events that were taken, for deliveries and to be sent again | `webhook_retention_days` |
| `{hooks}:seen:<event>` | string | the event was taken; its deliveries, `<webhook>:<number>` each | 2 days |
| `{hooks}:sequences` | hash | a webhook's id -> its last delivery's number | for ever |
| `{hooks}:delivery:<webhook>:<number>` | hash | a delivery: state, tries, attempts | `webhook_retention_days` |
| `{hooks}:due:<webhook>` | sorted set | numbers of deliveries, by when they are due | until settled |
| `{hooks}:pending` | sorted set | deliveries that are not settled, by the time of their event | until settled |
| `{hooks}:failing` | hash | a webhook's id -> since when it fails | until it works |
| `hooks:changed` | channel | announces that webhooks have changed | - |
| `{limits}:<rule>:<subject>` | string | when the allowance is whole again (GCRA), microseconds | until then |
"""

from app.store.keys.key import Key

HITS_TOTALS = "{hits}:totals"
HITS_CHANGED = "{hits}:changed"
HITS_WORKER_LIFETIME = 86_400_000
"""Milliseconds after which a dead worker's record expires; a live worker renews it four times a second."""
SITES_ALL = "sites:all"
SITES_HOSTS = "sites:hosts"
SITES_REWRITTEN = "{sites:salts}:rewritten"
ACCOUNT_NAMES = "{accounts}:names"
ACCOUNT_NAMES_SORTED = "{accounts}:names:sorted"
ACCOUNT_GROUPS = "{accounts}:groups"
ACCOUNT_EMAILS = "{accounts}:emails"
ACCOUNT_ADMINS = "{accounts}:admins"
SETUP_NONCE = "{accounts}:setup:nonce"
SERVICES = "{accounts}:services"
INVITATIONS = "{accounts}:invitations"
AUDIT = "{accounts}:audit"
SIGNING_KEYS = "signing-keys"
CONFIG_NAMESPACES = "{config}:namespaces"
CONFIG_CHANGED = "config:changed"
HOOKS_WEBHOOKS = "{hooks}:webhooks"
HOOKS_LOG = "{hooks}:log"
HOOKS_SEQUENCES = "{hooks}:sequences"
HOOKS_PENDING = "{hooks}:pending"
HOOKS_FAILING = "{hooks}:failing"
HOOKS_CHANGED = "hooks:changed"
EVENTS_RAISED = "events:raised"
EVENTS_STORE_BACK = "{events}:store-back"
SITE_BUCKETS = 16
"""As BUCKETS of app/sites/models.py, which is pure."""
RAISED_PARTS = (
    "accounts", "config", "events", "hits", "signing-keys", "wechat", *(f"sites:{n}" for n in range(SITE_BUCKETS))
)  # fmt: skip
"""The hash tags that have a stream of raised events."""
config_namespace = Key("{config}:namespace:<name>")
config_history = Key("{config}:history:<name>")
hooks_seen = Key("{hooks}:seen:<event>")
hooks_delivery = Key("{hooks}:delivery:<webhook>:<number>")
hooks_due = Key("{hooks}:due:<webhook>")
raised_removed = Key("{<part>}:raised:removed")
raised = Key("{<part>}:raised")
"""`part` is the hash tag; `signing-keys` hashes as the key of that name."""
hits_worker = Key("{hits}:worker:<id>")
sites_bucket = Key("{sites:<bucket>}")
sites_worker = Key("{sites:<bucket>}:worker:<id>")
sites_pending = Key("{sites:<bucket>}:pending")
site = Key("{sites:<bucket>}:site:<id>")
site_counts = Key("{sites:<bucket>}:<site>:<part>")
sites_salt = Key("{sites:salts}:<zone>:<day>")
countapi = Key("{sites:<bucket>}:countapi:<counter>")
sites_of = Key("sites-of:<user>")
session = Key("session:<key>")
session_current = Key("session-current:<root>")
session_origin = Key("session-origin:<root>")
sessions_of = Key("sessions-of:<user>")
legacy_used = Key("legacy-used:<digest>")
legacy_ended = Key("legacy-ended:<user>")
user = Key("{accounts}:user:<id>")
waiting_form = Key("{accounts}:waiting-form:<hash>")
reset_link = Key("{accounts}:reset-link:<hash>")
group = Key("{accounts}:group:<name>")
setup_printed = Key("{accounts}:setup:printed:<start>")
invitation = Key("{accounts}:invitation:<hash>")
token = Key("{accounts}:token:<hash>")
service = Key("{accounts}:service:<id>")
tokens_of = Key("{accounts}:tokens:<user>")
limit = Key("{limits}:<rule>:<subject>")
identity = Key("{accounts}:identity:<hash>")
identities_of = Key("{accounts}:identities:<user>")
oauth_document = Key("oauth:document:<hash>")
oauth_refetch = Key("oauth:refetch:<hash>")
oauth_attempt = Key("oauth:attempt:<hash>")
oauth_next = Key("oauth:next:<hash>")
oauth_logout = Key("oauth:logout:<hash>")
oauth_session = Key("oauth:session:<hash>")
oauth_away = Key("oauth:away:<provider>")
oauth_asked = Key("oauth:asked:<provider>:<when>")
oauth_refreshing = Key("oauth:refreshing:<session>")
