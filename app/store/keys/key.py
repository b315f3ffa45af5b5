"""Builds a key from its parts."""

import re


class Key:
    """A kind of key, by its row in the tables: `Key("session:<key>")("5e")` is `session:5e`."""

    __slots__ = ("_form", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._form = re.sub("<[^>]+>", "%s", pattern)

    def __call__(self, *parts: str | int) -> str:
        """One part for each name in angle brackets."""
        return self._form % parts
