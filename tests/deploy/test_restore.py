"""Backing the store up, and deploy/restore.sh, on a real Valkey; tests/containers does the same in containers."""

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest

from app.store.embedded import server_binary
from tests.deploy.files import kustomize, the
from tests.helpers.service import ROOT, process
from tests.helpers.sockets import get
from tests.helpers.valkey import Valkey, valkey

AS_JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Valkey's checking tool, which is its server under another name, and what else the script needs."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "valkey-check-rdb").symlink_to(server_binary())
    for name in ("cat", "head", "mkdir", "mv", "rm", "tail"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def restore(tools: Path, data: Path, back_up: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/sh", ROOT / "deploy" / "restore.sh"],
        env={"DATA": str(data), "PATH": str(tools)},
        input=back_up,
        capture_output=True,
        check=False,
    )


def back_up(server: Valkey) -> bytes:
    """What `redis-cli --rdb -` gets: the snapshot that a replica is sent."""
    with server.client as client:
        client.save()
    return (server.folder / "dump.rdb").read_bytes()


def visits(folder: Path, server: Valkey, more: int) -> int:
    """The number that the last of so many visitors is told, by a service that runs only for them."""
    with process(folder, port="0", redis_url=server.url) as service:
        url = service.url()
        return max(int(get(url, AS_JSON).json()["visits"]) for _ in range(more))


@pytest.mark.slow
def test_restored_store_has_the_back_up(short_folder: Path, tools: Path) -> None:
    folder = short_folder / "restored"
    with valkey(folder) as server:
        assert visits(folder / "app", server, 3) == 3
        saved = back_up(server)
        assert visits(folder / "app", server, 2) == 5, "after the back-up: these will be gone"
        server.stop()
        done = restore(tools, folder, saved)
        assert done.returncode == 0, done.stderr
        server.start()
        assert visits(folder / "app", server, 1) == 4
        with server.client as client:  # while a sync is under way, even what was acknowledged may wait in memory
            client.set("last", "written")
            client.waitaof(1, 0, 50_000)
        server.kill()
        server.start()
        assert visits(folder / "app", server, 1) == 5, "what came after the restoration is durable, too"
    assert (folder / "appendonlydir.before").is_dir()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"", b"is not a back-up"),
        (b"<html>not found</html>", b"is not a back-up"),
        (b"REDIS0011", b"the server here cannot read this back-up"),
        (b"REDIS0999" + b"\xff" * 9, b"the server here cannot read this back-up"),
    ],
    ids=["empty", "html", "half", "newer"],
)
def test_foreign_back_up_is_refused(tmp_path: Path, tools: Path, wrong: bytes, reason: bytes) -> None:
    kept = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    kept.parent.mkdir()
    kept.write_text("as it was", "utf-8")
    done = restore(tools, tmp_path, wrong)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.endswith(b"; nothing was changed\n")
    assert kept.read_text("utf-8") == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["appendonlydir"]


def test_in_kubernetes_a_pod_holds_the_stores_volume_for_it(k8s: Path) -> None:
    (pod,) = kustomize(k8s / "restore")
    kubernetes_validate.validate(pod, "1.33", strict=True)
    redis = the("StatefulSet", "redis", kustomize(k8s / "base"))["spec"]
    (claim,) = redis["volumeClaimTemplates"]
    (volume,) = pod["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == f"{claim['metadata']['name']}-redis-0"
    (container,), (original,) = pod["spec"]["containers"], redis["template"]["spec"]["containers"]
    assert container["securityContext"] == original["securityContext"]
    assert container["image"] == original["image"]
    assert pod["spec"]["securityContext"]["runAsUser"] == redis["template"]["spec"]["securityContext"]["runAsUser"]
