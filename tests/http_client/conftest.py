from tests.oauth.conftest import clock, provider, served_provider

__all__ = ["clock", "provider", "served_provider"]
