"""Keys of mails in Redis.

| key | type | holds | lifetime |
|---|---|---|---|
| `{mail}:due` | sorted set | ids of mails, by when they are due | until sent or given up |
| `{mail}:jobs` | hash | a mail's id -> what is to be told, encrypted | until sent or given up |
"""

DUE = "{mail}:due"
JOBS = "{mail}:jobs"
