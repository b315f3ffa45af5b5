"""Asks the service in this container, for its health check: `probe.py /ready`; exit code 0 when the answer is 200.

By a plain socket: to load an HTTP client takes longer than all the rest.
"""

import os
import socket
import sys


def main(path: str) -> int:
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ["TALLYGATE_PORT"])), timeout=3) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
    except OSError as error:
        print(error)  # noqa: T201
        return 1
    head, _, body = answer.partition(b"\r\n\r\n")
    print(body[:200].decode("utf-8", "replace"))  # noqa: T201  shown by `docker inspect`
    return 0 if head.split(b" ", 2)[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
