"""compose.yaml as a project of a test's own: other names, ports, networks and volumes than anybody else's."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.containers.engine import Container, free_port, run


class Project:
    def __init__(self, image: str, *profiles: str, **environment: str) -> None:
        port = free_port()
        self.name = f"tallygate-test-{port}"
        self.app = Container(f"{self.name}-app-1", port)
        self.nginx = Container(f"{self.name}-nginx-1", free_port())
        self._profiles = [part for profile in profiles for part in ("--profile", profile)]
        self._environment = environment | {
            "APP_IMAGE": image,
            "TALLYGATE_PORT": str(port),
            "NGINX_PORT": self.nginx.url.rpartition(":")[2],
        }

    def __call__(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[Any]:
        """`docker compose` with these arguments."""
        command = ("docker", "compose", "--project-name", self.name, *self._profiles, *arguments)
        return run(*command, env=os.environ | self._environment, **options)

    def up(self) -> float:
        """Seconds until everything was healthy."""
        began = time.monotonic()
        self("up", "--detach", "--no-build", "--wait")
        return time.monotonic() - began

    def log_of(self, service: str) -> str:
        log: str = self("logs", "--no-log-prefix", service).stdout
        return log


@contextmanager
def project(image: str, *profiles: str, **environment: str) -> Iterator[Project]:
    compose = Project(image, *profiles, **environment)
    try:
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "5")
