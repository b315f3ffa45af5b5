from tests.oauth_client.conftest import provider, served_provider

__all__ = ["provider", "served_provider"]
