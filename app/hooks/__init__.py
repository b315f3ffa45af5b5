"""The interface of hook modules (setting `hooks`): `from app.hooks import on, before, Refused`."""

from app.hooks.in_process import Refused, before, on

__all__ = ["Refused", "before", "on"]
