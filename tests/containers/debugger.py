"""As much of the Debug Adapter Protocol as it takes to stop at a line, which is what VS Code does with debugpy."""

import json
import socket
from typing import Any, Self

Message = dict[str, Any]


class Debugger:
    """A connection to debugpy."""

    def __init__(self, port: int, seconds: float = 60) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), seconds)
        self._stream = self._socket.makefile("rwb")
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> None:
        self._number += 1
        body = json.dumps({"seq": self._number, "type": "request", "command": command, "arguments": arguments}).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._stream.flush()

    def wait_for(self, kind: str, name: str) -> Message:
        """The next event, or successful response, of this name."""
        while True:
            message = self._next()
            if message["type"] == kind and message.get("event", message.get("command")) == name:
                assert message.get("success", True), message
                return message

    def attach(self, path: str, line: int, **arguments: Any) -> None:
        """Attaches, with a breakpoint at a line."""
        self.ask("initialize", adapterID="debugpy", pathFormat="path")
        self.wait_for("response", "initialize")
        self.ask("attach", justMyCode=True, **arguments)
        self.wait_for("event", "initialized")
        self.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
        self.wait_for("response", "setBreakpoints")
        self.ask("configurationDone")

    def _next(self) -> Message:
        length = 0
        while header := self._stream.readline().strip():
            name, _, value = header.partition(b": ")
            length = int(value) if name == b"Content-Length" else length
        message: Message = json.loads(self._stream.read(length))
        return message
