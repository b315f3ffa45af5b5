"""Sends one mail by SMTP."""

import asyncio
import ssl
from email.utils import format_datetime, localtime, make_msgid, parseaddr
from typing import TYPE_CHECKING

from app.http_client.tls import trusted_in_thread
from app.lazy import LazyModule, imported
from app.mail.models import Mail
from app.settings import Settings
from app.settings.smtp_url import SmtpServer

if TYPE_CHECKING:
    from email import message as messages

    import aiosmtplib
else:
    aiosmtplib = LazyModule("aiosmtplib")
    messages = LazyModule("email.message")


class MailError(Exception):
    """The mail was not accepted; the text is the reason, without secrets. `final`: another attempt would not help."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


async def send(settings: Settings, mail: Mail) -> None:
    """Raises MailError, and SettingsError for a bad `oauth_ca_file`."""
    server = settings.smtp_server
    if server is None:
        raise MailError("smtp_url is not set", final=True)
    try:
        async with asyncio.timeout(settings.smtp_timeout):
            await imported("aiosmtplib")
            context = await trusted_in_thread(settings.oauth_ca_file)
            await _send(server, _message(settings.mail_from, mail), context)
    except aiosmtplib.SMTPResponseException as error:
        raise MailError(_said(error.code, error.message), final=_final(error)) from None
    except aiosmtplib.SMTPRecipientsRefused as error:
        first = error.recipients[0]
        raise MailError(_said(first.code, first.message), final=first.code >= 500) from None
    except TimeoutError:
        raise MailError(f"no answer in {settings.smtp_timeout:g} s") from None
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise MailError(_one_line(str(error)) or type(error).__name__) from None


async def _send(server: SmtpServer, message: "messages.EmailMessage", context: ssl.SSLContext) -> None:
    await aiosmtplib.send(
        message,
        hostname=server.host,
        port=server.port,
        username=server.user or None,
        password=server.password or None,
        use_tls=server.tls,
        start_tls=server.starttls and not server.tls,
        tls_context=context,
        timeout=None,  # the caller has a deadline
    )


def _message(sender: str, mail: Mail) -> "messages.EmailMessage":
    message = messages.EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, mail.to, mail.subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: holiday notes do not answer
    message.set_content(mail.text, cte="quoted-printable")
    return message


def _final(error: "aiosmtplib.SMTPResponseException") -> bool:
    """RFC 5321, 4.2.1: 5yz is permanent. After a wrong password mails wait until the operator corrects it."""
    return error.code >= 500 and not isinstance(error, aiosmtplib.SMTPAuthenticationError)


def _said(code: int, text: str) -> str:
    return f"the server answered {code} {_one_line(text)}"


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:200]
