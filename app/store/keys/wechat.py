"""Keys of WeChat in Redis.

| key | type | holds | lifetime |
|---|---|---|---|
| `{wechat:<account>}:<kind>` | hash | a token or ticket, encrypted (`:lock`, `:fence`: of its refresh) | for ever |
| `{wechat:<account>}:<kind>:forced` | list | when its refresh was forced | a day |
| `{wechat}:calls` | hash | [account, path, errcode] -> responses | for ever |
| `{wechat}:batch:<worker>:<number>` | string | a batch of counts that was added | 10 min |
| `{wechat}:messages` | list | ids of the last messages, newest first | 200 of them |
| `{wechat}:message:<id>` | hash | a message, encrypted, and what became of it | as the list |
| `{wechat:platform:<name>}:ticket` | hash | the platform's last ticket, encrypted | for ever |
| `{wechat:platform:<name>}:accounts` | set | appids of accounts that authorised the platform | until withdrawn |
| `{wechat:platform:<name>}:account:<appid>` | hash | its refresh token, encrypted; since when | until withdrawn |
| `{wechat}:seen:<hash>` | string | a message that came, so that its repeat is dropped | 10 min |
"""

WECHAT_CALLS = "{wechat}:calls"
WECHAT_MESSAGES = "{wechat}:messages"


def wechat_token(account: str, kind: str) -> str:
    return f"{{wechat:{account}}}:{kind}"


def wechat_batch(worker: str, number: int) -> str:
    return f"{{wechat}}:batch:{worker}:{number}"


def wechat_message(message_id: str) -> str:
    return f"{{wechat}}:message:{message_id}"


def wechat_ticket(platform: str) -> str:
    return f"{{wechat:platform:{platform}}}:ticket"


def wechat_accounts(platform: str) -> str:
    return f"{{wechat:platform:{platform}}}:accounts"


def wechat_account(platform: str, appid: str) -> str:
    return f"{{wechat:platform:{platform}}}:account:{appid}"


def wechat_seen(digest: str) -> str:
    return f"{{wechat}}:seen:{digest}"
