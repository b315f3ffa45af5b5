"""The mails of accounts, in the user's language. Links begin with `public_url`, never with what a request says."""

from collections.abc import Mapping

from app.accounts.lifespan import Accounts
from app.accounts.models import User
from app.accounts.users.profile import BadProfile, email_of
from app.audit.log import Event
from app.mail.models import Composer, Job, Mail
from app.settings import Settings
from app.web.i18n import N_, NAMES, SOURCE
from app.web.lifespan import WebState

NO_MAIL = N_("This service sends no mail. Ask an administrator.")
RESET = (
    N_("%(site)s: set a new password"),
    N_(
        "Somebody asked for a new password for your account %(name)s at %(site)s. This link sets one. It works once,"
        " for an hour:\n\n%(link)s\n\nIf it was not you, do nothing: your password stays as it is.\n"
    ),
)
VERIFICATION = (
    N_("%(site)s: verify your e-mail address"),
    N_(
        "The account %(name)s at %(site)s has this e-mail address. This link verifies that it is yours. It works once,"
        " for a day:\n\n%(link)s\n\nIf the account is not yours, do nothing.\n"
    ),
)
INVITATION = (
    N_("%(site)s: an invitation"),
    N_(
        "%(by)s invites you to %(site)s. This link creates your account, once:\n\n%(link)s\n\n"
        "If you do not know what this is about, do nothing.\n"
    ),
)
NOTICE = N_(
    "Your account %(name)s at %(site)s: %(change)s\n\nIf it was not you, change your password and look at your devices:"
    "\n\n%(link)s\n"
)
NOTICE_SUBJECT = N_("%(site)s: your account was changed")
WEBHOOK_OFF = (
    N_("%(site)s: a webhook was switched off"),
    N_(
        "The webhook to %(url)s at %(site)s was switched off: %(why)s\n\n"
        "Events meanwhile are kept for some days, and can be sent when it is on again:\n\n%(link)s\n"
    ),
)
WHY_OFF = {"410": N_("The receiver answered 410."), "failing": N_("Nothing but failures for five days.")}
CHANGES = {
    Event.PASSWORD_CHANGED: N_("the password was changed."),
    Event.PASSWORD_RESET: N_("the password was set anew by a link, and all devices were signed out."),
    Event.EMAIL_CHANGED: N_("the e-mail address was changed. This address is no longer used."),
    Event.FACTOR_ADDED: N_("a way to sign in was added."),
    Event.FACTOR_REMOVED: N_("a way to sign in was removed."),
    Event.RECOVERY_CODE_USED: N_("a recovery code was used to sign in."),
    Event.IDENTITY_LINKED: N_("an account of another service was linked: it signs in here, too."),
    Event.IDENTITY_UNLINKED: N_("an account of another service was unlinked."),
    Event.RENAMED: N_("the username was changed."),
}
"""Changes of how a user signs in: the user is notified (OWASP ASVS 5.0, 6.3.7)."""
FACTORS = {
    (Event.FACTOR_ADDED, "passkey"): N_("a passkey was added."),
    (Event.FACTOR_ADDED, "totp"): N_("an authenticator app was added."),
    (Event.FACTOR_ADDED, "recovery-codes"): N_("new recovery codes were made."),
    (Event.FACTOR_REMOVED, "passkey"): N_("a passkey was removed."),
    (Event.FACTOR_REMOVED, "totp"): N_("the authenticator app was removed."),
    (Event.FACTOR_REMOVED, "all"): N_("an administrator removed all second factors."),
}


def account_mails(web: WebState, accounts: Accounts) -> Mapping[str, Composer]:
    """The composers by kind of mail."""
    mails = AccountMails(web, accounts)
    return {
        "reset": mails.reset,
        "verification": mails.verification,
        "invitation": mails.invitation,
        "notice": mails.notice,
        "webhook-off": mails.webhook_off,
    }


class AccountMails:
    def __init__(self, web: WebState, accounts: Accounts) -> None:
        self._settings: Settings = web["settings"]
        self._pages = web["pages"]
        self._accounts = accounts

    async def reset(self, job: Job) -> Mail | None:
        """To the verified address of the user whom `login` names; nothing for anybody else.

        All of the work is done here, so a request takes as long for an unknown name.
        """
        user, accounts = await self._user(job.facts["login"]), self._accounts
        if user is None or user.disabled or not user.email_verified:
            return None
        if not job.tries:
            if await accounts["limits"].forgotten_mails(user.id):
                return None
            await accounts["audit"].record(
                Event.RESET_LINK_CREATED, user=user.id, address=job.facts["address"],
                request_id=job.facts["request_id"], detail="e-mail",
            )  # fmt: skip
        stored = await accounts["accounts"].password_hash(user.id)
        secret, _ = await accounts["reset_links"].create(user.id, stored, user.email)
        return self._mail(user.email, RESET, self._language(user, job), name=user.name, link=f"reset?token={secret}")

    async def verification(self, job: Job) -> Mail | None:
        """To the address that is to be verified, while the user has it."""
        user = await self._accounts["accounts"].by_id(job.facts["user"])
        if user is None or user.email != job.facts["email"] or user.email_verified:
            return None
        link = f"verify-email?token={await self._accounts['email_links'].create(user.id, user.email)}"
        return self._mail(user.email, VERIFICATION, self._language(user, job), name=user.name, link=link)

    async def invitation(self, job: Job) -> Mail:
        """To the invited address."""
        return self._mail(job.facts["to"], INVITATION, job.facts["locale"], by=job.facts["by"], link=job.facts["link"])

    async def notice(self, job: Job) -> Mail:
        """To the owner of an account whose ways to sign in have changed."""
        event, locale = Event(job.facts["event"]), job.facts["locale"]
        change = FACTORS.get((event, job.facts["detail"]), CHANGES[event])
        texts = (NOTICE_SUBJECT, NOTICE)
        change = self._pages.translate(locale, change)
        return self._mail(job.facts["to"], texts, locale, name=job.facts["name"], change=change, link="account/devices")

    async def webhook_off(self, job: Job) -> Mail | None:
        """To the verified address of the webhook's owner."""
        user = await self._accounts["accounts"].by_id(job.facts["user"])
        if user is None or user.disabled or not user.email_verified:
            return None
        locale = user.locale or SOURCE
        why = self._pages.translate(locale, WHY_OFF[job.facts["why"]])
        link = f"admin/webhooks/{job.facts['webhook']}"
        return self._mail(user.email, WEBHOOK_OFF, locale, url=job.facts["url"], why=why, link=link)

    def _mail(self, to: str, texts: tuple[str, str], locale: str, *, link: str, **facts: str) -> Mail:
        """`link` is a path of this service, without the first slash."""
        locale = locale if locale in NAMES else SOURCE
        facts |= {"site": self._settings.site_name, "link": f"{self._settings.public_url}/{link}"}
        subject, text = (self._pages.translate(locale, each) % facts for each in texts)
        return Mail(to, subject, text)

    def _language(self, user: User, job: Job) -> str:
        return user.locale or job.facts["locale"]

    async def _user(self, login: str) -> User | None:
        """By verified address, else by name."""
        accounts = self._accounts
        try:
            user_id = await accounts["users"].by_email(email_of(login))
        except BadProfile:
            user_id = None
        if user_id is None:
            return await accounts["accounts"].by_name(login)
        return await accounts["accounts"].by_id(user_id)
