"""`python -m app send-test-mail ADDRESS`: sends a mail now, and says what goes wrong."""

import argparse
import asyncio

from app.accounts.users.profile import BadProfile, email_of
from app.cli.command import Command, CommandError, Invocation
from app.mail.lifespan import mail_errors
from app.mail.models import Mail
from app.mail.smtp import MailError, send
from app.settings import SettingsError


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="ADDRESS")


def run(invocation: Invocation) -> int:
    """Raises SettingsError, CommandError."""
    settings = invocation.settings()
    if settings.smtp_url is None:
        raise SettingsError("smtp_url: is not set, so no mail is sent")
    if errors := mail_errors(settings):
        raise SettingsError("\ntallygate: ".join(errors))
    try:
        to = email_of(invocation.options.address)
    except BadProfile:
        to = ""
    if not to:
        raise CommandError("ADDRESS: must be an e-mail address")
    mail = Mail(to, f"{settings.site_name}: test", f"This mail of {settings.site_name} has come.\n")
    try:
        asyncio.run(send(settings, mail))
    except MailError as error:
        raise CommandError(f"the mail was not sent: {error}") from None
    print(f"tallygate: the mail server took the mail to {to}")
    return 0


command = Command(run, _options)
