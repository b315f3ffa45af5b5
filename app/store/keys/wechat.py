"""Keys of WeChat in Redis.

| key | type | holds | lifetime |
|---|---|---|---|
| `{wechat:<account>}:<kind>` | hash | a token or ticket, encrypted (refresh: `:lock`, `:fence`, `:forced`) | for ever |
| `{wechat}:calls` | hash | [account, path, errcode] -> responses | for ever |
| `{wechat}:batch:<worker>:<number>` | string | a batch of counts that was added | 10 min |
| `{wechat}:messages` | list | ids of the last messages, newest first | 200 of them |
| `{wechat}:message:<id>` | hash | a message, encrypted, and what became of it | as the list |
| `{wechat:platform:<name>}:ticket` | hash | the platform's last ticket, encrypted | for ever |
| `{wechat:platform:<name>}:accounts` | set | appids of accounts that authorised the platform | until withdrawn |
| `{wechat:platform:<name>}:account:<appid>` | hash | its refresh token, encrypted; since when | until withdrawn |
| `{wechat}:seen:<hash>` | string | a message that came, so that its repeat is dropped | 10 min |
"""

from app.store.keys.key import Key

WECHAT_CALLS = "{wechat}:calls"
WECHAT_MESSAGES = "{wechat}:messages"
wechat_token = Key("{wechat:<account>}:<kind>")
wechat_batch = Key("{wechat}:batch:<worker>:<number>")
wechat_message = Key("{wechat}:message:<id>")
wechat_ticket = Key("{wechat:platform:<name>}:ticket")
wechat_accounts = Key("{wechat:platform:<name>}:accounts")
wechat_account = Key("{wechat:platform:<name>}:account:<appid>")
wechat_seen = Key("{wechat}:seen:<hash>")
