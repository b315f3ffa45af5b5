"""The HTTP server: uvicorn with changes, signals, background work."""
