"""Signatures and retries."""

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from standardwebhooks import Webhook as Verifier

from app.hooks.retries import delay, seconds_of
from app.hooks.signing import new_secret, signature_headers

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ID, AT = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 1795838400
BODY = '{"type":"user.created","timestamp":"2026-11-28T04:00:00Z","sequence":1,"data":{"name":"张三"}}'.encode()
SCHEDULE = (5, 60, 300)


def test_signature_is_that_of_the_specification() -> None:
    headers = signature_headers(ID, AT, BODY, [SECRET])
    assert headers["webhook-signature"] == "v1,RJ0BpWzEDK6jIjEZdOfSt5j2qCgQaudoOihJLwSWic4="


def test_either_of_two_secrets_verifies() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    now = int(datetime.now(UTC).timestamp())
    headers = signature_headers(ID, now, BODY, [new, old])
    for secret in (old, new):
        assert Verifier(secret).verify(BODY, headers)["type"] == "user.created"
    with pytest.raises(Exception, match="signature"):
        Verifier(other).verify(BODY, headers)


def test_attempts_follow_the_schedule_with_jitter_and_end() -> None:
    assert [delay(SCHEDULE, tries, 0, 500, "", AT) for tries in (1, 2, 3, 4)] == [5, 60, 300, None]
    assert delay(SCHEDULE, 1, 1, None, "", AT) == 5.5
    assert delay(SCHEDULE, 1, 0, 410, "", AT) is None
    assert delay(SCHEDULE, 1, 0, 429, "", AT) == 60
    assert delay(SCHEDULE, 1, 0, 503, "120", AT) == 120


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("", 0), ("7", 7), ("-7", 0), ("x", 0), ("9" * 9, 86_400), ("9" * 5000, 0), ("1.5", 0),
     ("Sat, 28 Nov 2026 04:01:00 GMT", 60), ("Sat, 28 Nov 2026 03:00:00 GMT", 0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float) -> None:
    assert seconds_of(header, AT) == seconds


def test_each_new_secret_differs() -> None:
    with patch("secrets.token_bytes", return_value=b"\xff" * 32):
        assert new_secret() == "whsec_" + "/" * 42 + "8="
    assert new_secret() != new_secret()
