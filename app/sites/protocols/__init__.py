"""Protocols of other counters: each is a module here, with its routes in app/sites/routes.py."""
