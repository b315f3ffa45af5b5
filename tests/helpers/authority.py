"""A certificate authority of the tests' own."""

import subprocess
from pathlib import Path


def make_authority(folder: Path) -> Path:
    """Puts `ca.pem` into a folder, and as `cert.pem` and `key.pem` a certificate of that authority's for localhost."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # which Python insists on since 3.13
    _openssl(folder, "req", "-x509", *key, *usage, "-subj", "/CN=Tests", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "extensions").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    _openssl(folder, "req", "-new", *key, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions")
    _openssl(folder, "x509", "-req", "-in", "request", *signing, "-out", "cert.pem")
    return folder


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
