"""The part of the lifespan that sends mails, and the request state that it fills."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypedDict

from app.mail.models import Composer
from app.mail.queue import MailQueue
from app.observability.metrics import Metrics, Reading
from app.server.background import background
from app.settings import Settings
from app.web.lifespan import WebState


class MailState(TypedDict):
    mail: MailQueue


@asynccontextmanager
async def open_mail(
    web: WebState, composers: Mapping[str, Composer], metrics: Metrics, clock: Callable[[], float]
) -> AsyncIterator[MailState]:
    queue = MailQueue(web["settings"], web["store"], composers, clock)
    metrics.add(
        Reading("tallygate_mails_sent", "Mails that the mail server took.", lambda: queue.sent, counter=True),
        Reading(
            "tallygate_mail_attempts_failed", "Attempts to send a mail that failed.", lambda: queue.failed, counter=True
        ),
        Reading("tallygate_mails_given_up", "Mails that were given up.", lambda: queue.given_up, counter=True),
    )
    async with background(web["lifecycle"], queue.run()):
        yield MailState(mail=queue)
        await queue.finish()


def mail_errors(settings: Settings) -> list[str]:
    """A line for each setting that smtp_url needs and is missing."""
    wanted = {"mail_from": settings.mail_from, "public_url": settings.public_url}
    if settings.smtp_url is None:
        return []
    return [
        f"{name}: must be set, too: without it smtp_url sends no mail" for name, value in wanted.items() if not value
    ]
