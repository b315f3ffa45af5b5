"""A real Kubernetes API server and its etcd as processes on the loopback interface: no node, and no controller."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.deploy.files import Document
from tests.helpers.sockets import PATIENCE, free_ports

TOKEN = "the-token-of-the-tests"
NO_CONTROLLER = "StorageObjectInUseProtection,DefaultStorageClass"
"""Plugins of admission that wait for a controller, which would take their finalizers away."""


class Cluster:
    """What `kubectl` says to the API server, as the holder of a token: an administrator."""

    def __init__(self, program: str, folder: Path, url: str, token: str = TOKEN) -> None:
        self._place = (program, folder, url)
        self._command = [
            program, "--server", url, "--token", token,
            "--certificate-authority", str(folder / "certificates" / "apiserver.crt"),
            "--cache-dir", str(folder / "cache"),
        ]  # fmt: skip
        self._program = program
        self._environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}

    def of(self, token: str) -> "Cluster":
        """The same server for somebody else."""
        return Cluster(*self._place, token)

    def ask(self, *arguments: str | Path, stdin: list[Document] | None = None) -> subprocess.CompletedProcess[str]:
        text = None if stdin is None else yaml.safe_dump_all(stdin)
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def do(self, *arguments: str | Path, stdin: list[Document] | None = None) -> str:
        """What it printed, which has to be no warning."""
        done = self.ask(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, ""), f"{arguments}: {done.stderr}"
        return done.stdout

    def apply(self, documents: list[Document], *options: str) -> None:
        """Every object by server-side apply: no unknown or doubled field, no deprecated one, no warning."""
        self.do("apply", "--server-side", "--validate=strict", *options, "--filename", "-", stdin=documents)

    def stored(self, documents: list[Document]) -> list[Document]:
        """The same objects, as the server has them."""
        found = json.loads(self.do("get", "--output", "json", "--filename", "-", stdin=documents))
        items: list[Document] = found["items"] if found["kind"] == "List" else [found]
        return items

    def delete(self, documents: list[Document]) -> None:
        """Objects that are there, but for the namespace: it takes a controller to end one."""
        some = [document for document in documents if document["kind"] != "Namespace"]
        self.do("delete", "--ignore-not-found", "--timeout=60s", "--filename", "-", stdin=some)

    def kinds(self) -> set[tuple[str, str]]:
        """(version of the API, kind) of everything that the server knows."""
        lines = self.do("api-resources", "--no-headers").splitlines()
        return {(words[-3], words[-1]) for words in map(str.split, lines)}


def programs() -> tuple[Path, str]:
    """(the folder with kube-apiserver and etcd, kubectl); skips the test where they are missing."""
    binaries = os.environ.get("KUBE_BIN")
    if not binaries:
        pytest.skip("KUBE_BIN names no folder with kube-apiserver and etcd: see docs/develop.md")
    folder = Path(binaries).resolve()
    kubectl = shutil.which("kubectl", path=f"{folder}{os.pathsep}{os.environ['PATH']}")
    missing = [name for name in ("kube-apiserver", "etcd") if not os.access(folder / name, os.X_OK)]
    if missing or kubectl is None:
        pytest.skip(f"not in {folder}: {', '.join(missing) or 'kubectl'}")
    return folder, kubectl


@contextmanager
def cluster(binaries: Path, kubectl: str, folder: Path, **flags: Any) -> Iterator[Cluster]:
    """The API server of these binaries with more flags; custom resources as `crds/` beside them defines them."""
    port, etcd, peer = free_ports(3)
    client, other = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
    folder.joinpath("users.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
    folder.joinpath("key.pem").write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with ExitStack() as running:
        running.enter_context(_process(
            folder, binaries / "etcd", data_dir=folder / "etcd", unsafe_no_fsync="true", name="one",
            listen_client_urls=client, advertise_client_urls=client, listen_peer_urls=other,
            initial_advertise_peer_urls=other, initial_cluster=f"one={other}",
        ))  # fmt: skip
        server = running.enter_context(_process(
            folder, binaries / "kube-apiserver", etcd_servers=client, bind_address="127.0.0.1", secure_port=port,
            cert_dir=folder / "certificates", token_auth_file=folder / "users.csv", authorization_mode="RBAC",
            service_cluster_ip_range="10.0.0.0/24", service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=folder / "key.pem", service_account_signing_key_file=folder / "key.pem",
            disable_admission_plugins=NO_CONTROLLER, **flags,
        ))  # fmt: skip
        found = Cluster(kubectl, folder, f"https://127.0.0.1:{port}")
        deadline = time.monotonic() + 3 * PATIENCE
        while (asked := found.ask("get", "--raw", "/readyz")).returncode:
            assert server.poll() is None, (folder / "kube-apiserver.log").read_text()
            assert time.monotonic() < deadline, asked.stderr
            time.sleep(0.2)
        if (crds := binaries / "crds").is_dir():
            found.do("apply", "--server-side", "--filename", crds)
            found.do("wait", "--for", "condition=Established", "--timeout=60s", "--filename", crds)
        yield found


@contextmanager
def _process(folder: Path, program: Path, **flags: Any) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{program.name}.log").open("wb") as log:
        options = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        process.kill()  # its data is thrown away
        process.wait(PATIENCE)
