# One file, two images: `dev` is the dev container, `production` (the last, so the default) is what runs.
#   docker build --tag tallygate .
#   docker build --tag tallygate-dev --target dev .
# The tag names the exact version; docs/deploy.md tells how to add its digest.
FROM python:3.13.14-slim-trixie AS base
ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
# The official image has no bytecode of the standard library, and nobody who runs here may write it: each start, and each
# reload in the dev container, would compile it anew.
RUN python -m compileall -q -j 0 -x '/(idlelib|lib2to3|pydoc_data|site-packages|test|tkinter|turtledemo)/' \
        /usr/local/lib/python3.13


# ---- dev: what `make` needs, and everything `make test` and `make check` use -----------------------------------------
FROM base AS dev
# Their versions are Debian's of this release: a version that is pinned here is gone from the mirror with its first fix.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        bash-completion chromium curl fonts-noto-cjk gcc git kubernetes-client less libc6-dev make nodejs npm \
        openssh-client procps shellcheck sudo wrk \
    && rm -rf /var/lib/apt/lists/*
# The workspace and the environment lie in the home directory because the dev container tools give that, and all in it,
# the local user's id. The user has a name here: by its number it would have no home directory where that id differs.
RUN useradd --uid 1000 --create-home --shell /bin/bash dev \
    && echo 'dev ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/dev \
    && install --directory --owner dev --group dev /home/dev/tallygate
# hadolint ignore=DL3066
USER dev
WORKDIR /home/dev/tallygate
# Outside of the workspace, which is the host's folder: an environment of the host's does not run in here.
ENV VENV=/home/dev/venv
ENV PATH=$VENV/bin:$PATH
COPY --chown=dev:dev requirements/dev.txt requirements/
# As `make` would do it, down to the file by which it sees that it was done; its own text would change this layer's key.
RUN --mount=type=cache,target=/home/dev/.cache/pip,uid=1000,gid=1000 \
    python -m venv "$VENV" \
    && "$VENV/bin/python" -m pip install --require-hashes --only-binary :all: --requirement requirements/dev.txt \
    && touch "$VENV/dev.done" "$VENV/run.done"
EXPOSE 8000
CMD ["sleep", "infinity"]


# ---- dependencies: a layer that changes only with the lock file ------------------------------------------------------
FROM base AS dependencies
# `tracing`: with OpenTelemetry (docs/operations.md).
ARG REQUIREMENTS=run
COPY requirements/run.txt requirements/tracing.txt /
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/tallygate \
    && python -m pip --cache-dir /var/cache/pip --python /opt/tallygate install --require-hashes --only-binary :all: --requirement "/$REQUIREMENTS.txt"


# ---- code: ours, compiled, because the production file system is read-only -------------------------------------------
FROM base AS code
COPY app /srv/tallygate/app
RUN python -m compileall -q --invalidation-mode unchecked-hash /srv/tallygate/app


FROM base AS production
# pip goes, too: a service that runs installs nothing.
RUN python -m pip uninstall --quiet --yes pip \
    && rm -rf /usr/local/lib/python3.13/ensurepip \
    && groupadd --gid 10001 tallygate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tallygate \
    && install --directory --owner tallygate --group tallygate --mode 0700 /data /back-ups
COPY --from=dependencies /opt/tallygate /opt/tallygate
COPY deploy/probe.sh /usr/local/bin/probe
COPY --from=code /srv/tallygate /srv/tallygate
WORKDIR /srv/tallygate
# The store is another container; an empty TALLYGATE_REDIS_URL asks for the embedded Valkey, with its data in /data.
ENV PATH=/opt/tallygate/bin:$PATH \
    TALLYGATE_ENVIRONMENT=production \
    TALLYGATE_HOST=:: \
    TALLYGATE_PORT=8000 \
    TALLYGATE_DATA_DIR=/data \
    TALLYGATE_REDIS_URL=redis://redis:6379/0
USER 10001:10001
EXPOSE 8000
# /live, not /ready: whoever restarts what is unhealthy would not bring Redis back by it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["probe", "/live"]
CMD ["python", "-m", "app"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tallygate" \
      org.opencontainers.image.description="Signs people in, counts every visit." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
