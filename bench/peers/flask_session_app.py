# mypy: disable-error-code="import-not-found,untyped-decorator"
"""The tutorial's counter for who is signed in: Flask with its sessions in Redis, by Flask-Session."""

import os

import redis
from flask import Flask, Response, abort, jsonify, session
from flask_session import Session

app = Flask(__name__)
store = redis.Redis.from_url(os.environ["REDIS_URL"])
app.config.update(SECRET_KEY="for the bench only", SESSION_TYPE="redis", SESSION_REDIS=store)
Session(app)


@app.post("/sign-in")
def sign_in() -> str:
    """Sign in whoever asks."""
    session["user"] = "bench"
    return "signed in"


@app.get("/")
def count() -> Response:
    """Count a visit of who is signed in and tell its number."""
    if "user" not in session:
        abort(401)
    store.incr("flask-visits")
    visits = int(store.get("flask-visits"))  # type: ignore[arg-type]
    return jsonify(visits=visits, user=session["user"])


@app.get("/session")
def who() -> Response:
    """Tell who is signed in."""
    if "user" not in session:
        abort(401)
    return jsonify(user=session["user"])
