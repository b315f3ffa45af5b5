"""Who takes part. To add one, add an entry to `CONTESTANTS`.

A command may use these names in braces:

    python     the Python that runs the bench, and the service
    peers      the folder of the peers' programs, `.venv-bench/bin`
    port, spare_port   two free ports of 127.0.0.1
    redis_url  the one Redis everybody shares (also in the environment, as REDIS_URL)
    folder     a folder of this server's own, gone afterwards; also its working directory
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Contestant:
    """A server to measure: how to start it, what to ask it, and where it counts."""

    name: str
    command: str
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: str = ""
    """A command to run once before, with PASSWORD as its input; it may fail where it was run before."""
    sign_in: str = ""
    """The path of a form that signs in; requests then carry the cookies that it sets."""
    total: str = ""
    """The Redis command that reads how many requests it has counted; empty if it counts none."""


PASSWORD = "nothing but a bench"
SIGN_IN_FORM = {"username": "bench", "password": PASSWORD}

UVICORN = (
    "{peers}/uvicorn --host 127.0.0.1 --port {port} --loop uvloop --http httptools"
    " --no-access-log --log-level warning --lifespan off"
)
GUNICORN = "{peers}/gunicorn --bind 127.0.0.1:{port} bench.peers.flask_app:app"
# It closes each connection after its answer; unless it says so, wrk takes that for an error.
UWSGI = (
    "{peers}/uwsgi --virtualenv {peers}/.. --http-socket 127.0.0.1:{port} --module bench.peers.flask_app:app"
    " --need-app --enable-threads --disable-logging --die-on-term"
    " --add-header 'Connection: close'"
)
TORNADO = "{peers}/python -m bench.peers.tornado_app {port}"
TALLYGATE = (
    "{python} -m app --host 127.0.0.1 --port {port} --redis-url {redis_url}"
    " --data-dir {folder}/data --log-file {folder}/tallygate.log"
)
CREATE_USER = "{python} -m app create-admin bench --redis-url {redis_url}"
WITH_METRICS = {"TALLYGATE_METRICS_PORT": "{spare_port}"}
OUR_TOTAL = "HGET {hits}:totals home"

HELLO = Contestant("hello", f"{UVICORN} bench.peers.hello:app")
TALLYGATE_JSON = Contestant(
    "tallygate-json",
    TALLYGATE,
    headers={"Accept": "application/json"},
    environment=WITH_METRICS,
    total=OUR_TOTAL,
)
TALLYGATE_HTML = Contestant(
    "tallygate-html",
    TALLYGATE,
    headers={"Accept": "text/html"},
    environment=WITH_METRICS,
    total=OUR_TOTAL,
)
TALLYGATE_SESSION = Contestant(
    "tallygate-session",
    TALLYGATE,
    path="/api/session",
    environment=WITH_METRICS,
    prepare=CREATE_USER,
    sign_in="/sign-in",
)
TALLYGATE_SIGNED_IN = Contestant(
    "tallygate-signed-in",
    TALLYGATE,
    headers={"Accept": "application/json"},
    environment=WITH_METRICS,
    prepare=CREATE_USER,
    sign_in="/sign-in",
    total=OUR_TOTAL,
)

TALLYGATE_CONFIG = Contestant(
    "tallygate-config-304",
    TALLYGATE,
    path="/api/config/tallygate",
    headers={"If-None-Match": '"1"'},
    environment=WITH_METRICS,
    prepare=CREATE_USER,
    sign_in="/sign-in",
)

CONTESTANTS = (
    HELLO,
    Contestant(
        "flask-gunicorn-sync",
        f"{GUNICORN} --worker-class sync",
        total="GET flask-visits",
    ),
    Contestant(
        "flask-gunicorn-gthread",
        f"{GUNICORN} --worker-class gthread --threads 16",
        total="GET flask-visits",
    ),
    Contestant(
        "flask-uwsgi",
        f"{UWSGI} --threads 16",
        total="GET flask-visits",
    ),
    Contestant("tornado", TORNADO, total="GET tornado-visits"),
    Contestant(
        "starlette",
        f"{UVICORN} bench.peers.starlette_app:app",
        total="GET starlette-visits",
    ),
    TALLYGATE_JSON,
    TALLYGATE_HTML,
    Contestant(
        "flask-uwsgi-signed-in",
        f"{UWSGI} --threads 16".replace("flask_app", "flask_session_app"),
        sign_in="/sign-in",
        total="GET flask-visits",
    ),
    Contestant(
        "flask-gthread-signed-in",
        f"{GUNICORN} --worker-class gthread --threads 16".replace("flask_app", "flask_session_app"),
        sign_in="/sign-in",
        total="GET flask-visits",
    ),
    TALLYGATE_SESSION,
    TALLYGATE_SIGNED_IN,
    TALLYGATE_CONFIG,
)
