# mypy: disable-error-code="import-not-found,untyped-decorator"
"""The tutorial's visit counter in Flask, as it stands in the books: INCR, then GET."""

import os

import redis
from flask import Flask

app = Flask(__name__)
store = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.get("/")
def count() -> str:
    """Count a visit and tell its number."""
    store.incr("flask-visits")
    visits = int(store.get("flask-visits"))  # type: ignore[arg-type]
    return f"This page has been visited {visits} times"
