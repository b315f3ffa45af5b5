"""A mail server on a real socket, which does what the test tells it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage


class SmtpFake:
    """`answers` are replies by command, such as {"RCPT": "550 5.1.1 no such user"}.

    `silent`: it never greets; while not `ready`: not yet.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, str] = {}
        self.commands: list[str] = []
        self.silent = False
        self.port = 0
        self._context = context
        self.ready = asyncio.Event()
        self.ready.set()
        self.connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}?starttls=no"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def cut(self) -> None:
        for task in self.connections:
            task.cancel()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.silent:
            await reader.read()
            return
        await self.ready.wait()
        writer.write(b"220 fake ESMTP\r\n")
        while line := await reader.readline():
            text = line.decode().strip()
            verb = text.upper().split(" ")[0].split(":")[0]
            self.commands.append(text)
            writer.write((self.answers.get(verb) or self._usual(verb)).encode() + b"\r\n")
            if verb == "DATA" and "DATA" not in self.answers:
                raw = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
                writer.write((self.answers.get("END") or "250 taken").encode() + b"\r\n")
                if "END" not in self.answers:
                    self.mails.append(message_from_bytes(raw + b"\r\n", policy=policy.default))
            elif verb == "STARTTLS" and self._context is not None:
                await writer.start_tls(self._context)
            elif verb == "QUIT":
                return

    def _usual(self, verb: str) -> str:
        if verb == "EHLO":
            extra = ["250-STARTTLS"] if self._context is not None else []
            return "\r\n".join(["250-fake", *extra, "250 AUTH PLAIN LOGIN"])
        return {"STARTTLS": "220 go", "DATA": "354 go", "QUIT": "221 bye", "AUTH": "235 yes"}.get(verb, "250 ok")


@asynccontextmanager
async def smtp_fake(
    context: ssl.SSLContext | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SmtpFake]:
    """`context` is that of STARTTLS; with `tls` the connection is encrypted from the start."""
    fake = SmtpFake(context)
    server = await asyncio.start_server(fake.connected, "127.0.0.1", 0, ssl=tls)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        fake.cut()
