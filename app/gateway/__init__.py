"""Forward-auth: reverse proxies ask whether a request to a protected site may pass."""
