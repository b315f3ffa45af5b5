"""Settings of e-mail."""

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from app.settings.checks import sender
from app.settings.smtp_url import SmtpServer


class MailSettings(BaseSettings):
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server: `smtp://user:password@mail.example.com:587` (STARTTLS is demanded; `?starttls=no` "
        "sends in the clear) or `smtps://...`. Without it, `mail_from` and `public_url`, no mail is sent.",
    )
    smtp_password: SecretStr | None = Field(None, description="Password of the mail server, if not in `smtp_url`.")
    smtp_timeout: float = Field(30.0, gt=0, le=300, description="Seconds that one attempt to send a mail may take.")
    mail_from: Annotated[str, AfterValidator(sender)] = Field(
        "", description="Sender of mails: `sign-in@example.com`, or `Example <sign-in@example.com>`."
    )

    @field_validator("smtp_url")
    @classmethod
    def _parsed(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            SmtpServer.parse(value.get_secret_value())
        return value

    @property
    def smtp_server(self) -> SmtpServer | None:
        """The mail server with its password; None if none is set."""
        if self.smtp_url is None:
            return None
        server = SmtpServer.parse(self.smtp_url.get_secret_value())
        return server if self.smtp_password is None else replace(server, password=self.smtp_password.get_secret_value())
