"""Asks the service in this container, for its health check: `probe.py /ready`; exit code 0 when the answer is 200."""

import http.client
import os
import sys


def main(path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["TALLYGATE_PORT"]), timeout=3)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        print(answer.read(200).decode("utf-8", "replace"))  # noqa: T201  shown by `docker inspect`
    except (OSError, http.client.HTTPException) as error:
        print(error)  # noqa: T201
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
