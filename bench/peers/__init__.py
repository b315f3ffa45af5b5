"""The applications this service is compared with. They run in a venv of their own."""
