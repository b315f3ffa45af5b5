"""The real Flask, as an app that was here before us, or that shares our cookie."""

from typing import Any

from flask import Flask


class RealFlask:
    """A Flask app's session cookie. `old_keys` are its SECRET_KEY_FALLBACKS."""

    def __init__(self, key: str, *old_keys: str) -> None:
        self._app = Flask("old")
        self._app.secret_key = key
        self._app.config["SECRET_KEY_FALLBACKS"] = list(old_keys)

    def cookie(self, data: dict[str, Any]) -> str:
        """What the app's answer sets when a handler has put this into its session."""
        client = self._app.test_client()
        with client.session_transaction() as session:
            session.update(data)
        cookie = client.get_cookie("session")
        assert cookie is not None
        return cookie.value

    def data(self, cookie: str) -> dict[str, Any]:
        """What a handler finds in its session; nothing for a cookie that the app refuses."""
        client = self._app.test_client()
        client.set_cookie("session", cookie)
        with client.session_transaction() as session:
            return dict(session)
