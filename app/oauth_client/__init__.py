"""Signing in here with accounts elsewhere: OpenID Connect, GitHub, WeChat and others."""
