"""From an external profile to a user: sign-in, first sign-in, linking."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from starlette.requests import Request

from app.accounts.helpers import audit
from app.accounts.models import User
from app.accounts.second_factors.checking import stamp_of
from app.accounts.second_factors.store import PendingSignIn
from app.accounts.sign_in import authentication
from app.accounts.sign_in.authentication import NeedsSecondFactor
from app.accounts.users.identities import Identity, IdentityTaken
from app.accounts.users.names import FORBIDDEN, MAX_NAME_LENGTH, MAX_TYPED_LENGTH, BadName, normal, without_invisible
from app.accounts.users.profile import MAX_DISPLAY_NAME_LENGTH, BadProfile, display_name_of, email_of
from app.accounts.users.profile_store import EmailTaken
from app.accounts.users.store import BadInvitation, NameTaken
from app.audit.log import Event
from app.oauth_client.claims import groups_of
from app.oauth_client.errors import BadCallback, SignUpNotAllowed
from app.oauth_client.lifespan import OAuthState
from app.oauth_client.models import AuthRequest, ExternalProfile, text
from app.oauth_client.provider import Provider
from app.oauth_client.provider_sessions import ProviderSession
from app.sessions.session import Session
from app.web.errors import Conflict
from app.web.i18n import N_

NUMBERED = 9
"""How many names such as alice-2 are tried before a random one."""


async def sign_in(
    request: Request[OAuthState], provider: Provider, profile: ExternalProfile, auth_request: AuthRequest
) -> Session:
    """Starts a session of the profile's user; a first sign-in makes the user. Raises SignUpNotAllowed, and
    NeedsSecondFactor where the setting `second_factor` asks this user for one.
    """
    identity, state = _identity(provider, profile), request.state
    user_id = await _seen(request, identity, profile)
    if user_id is None:
        user_id = await _join(request, provider, profile, identity, auth_request.invitation)
    user = await state["accounts"].by_id(user_id)
    if user is None or user.disabled:
        await audit(request, Event.SIGN_IN_FAILED, user=user_id, detail=provider.name)
        raise SignUpNotAllowed("the user is disabled", N_("This account is disabled."))
    tokens = replace(profile.tokens, groups=groups_of(profile.claims, provider.groups_claim))
    provider_session = ProviderSession(profile.issuer, profile.subject, profile.session, tokens)
    brief = None if auth_request.again else auth_request.brief
    if user.second_factors and state["current_user"].requires_second_factor(user):
        stored = await state["accounts"].password_hash(user.id)
        sealed = state["provider_sessions"].seal(user.id, provider.name, profile.auth_time, provider_session)
        raise NeedsSecondFactor(user, PendingSignIn(user.id, stamp_of(stored), brief, sealed))
    return await _begin(request, user, provider.name, provider_session, auth_time=profile.auth_time, brief=brief)


async def finish_provider_sign_in(
    request: Request[OAuthState], user: User, pending: PendingSignIn, amr: tuple[str, ...]
) -> None:
    """Starts the session of a sign-in that waited for the second factor. Raises SignUpNotAllowed."""
    opened = request.state["provider_sessions"].unseal(user.id, pending.provider_sign_in)
    if opened is None:
        raise SignUpNotAllowed("the key of waiting sign-ins has changed", N_("Please sign in again."))
    name, auth_time, provider_session = opened
    await _begin(request, user, name, provider_session, auth_time=auth_time, brief=pending.brief, amr=amr)


async def _seen(request: Request[OAuthState], identity: Identity, profile: ExternalProfile) -> str | None:
    """The user of the identity, which moves here from a former subject: WeChat gives a unionid later, for instance."""
    for subject in profile.former_subjects:
        await request.state["identities"].move(replace(identity, subject=subject), identity)
    return await request.state["identities"].seen(identity)


async def sign_in_again(request: Request[OAuthState], user: User, auth_method: str, key: str) -> Session:
    """Replaces the session with this key by a new one. Raises BadCallback if it has ended."""
    sessions, provider_sessions = request.state["sessions"], request.state["provider_sessions"]
    if not sessions.revocable:
        return await authentication.start_session(request, user, auth_method)
    first = next((each for each in await sessions.of_user(user.id) if each.key == key), None)
    provider_session = await provider_sessions.provider_session(first) if first is not None else None
    if first is None or provider_session is None:
        raise BadCallback("the session of this sign-in has ended meanwhile")
    session = await _begin(
        request, user, auth_method, provider_session, auth_time=first.auth_time, brief=first.brief, amr=first.amr
    )
    await sessions.end_one(user.id, key)
    return session


async def _begin(
    request: Request[OAuthState],
    user: User,
    auth_method: str,
    provider_session: ProviderSession,
    *,
    auth_time: float,
    brief: bool | None,
    amr: tuple[str, ...] = (),
) -> Session:
    """Starts the session, which is fresh by the provider's `auth_time`. Raises SignUpNotAllowed for a disabled user."""
    state, recheck_at = request.state, provider_session.tokens.recheck_at
    groups = provider_session.tokens.groups
    session = await authentication.start_session(
        request, user, auth_method, recheck_at, auth_time=auth_time, amr=amr, groups=groups, brief=brief
    )
    with authentication.rollback_unless_verified(request):
        await state["provider_sessions"].keep(session, provider_session)
        # A concurrent unlink or disable has ended the user's sessions, perhaps without this new one. Checked last: from
        # here on it would find the session.
        now = await state["accounts"].by_id(user.id)
        if now is None or now.disabled or await state["identities"].user_of(provider_session.identity) != user.id:
            await state["sessions"].end(request.scope)
            raise SignUpNotAllowed("the identity is no longer the user's", N_("This account is disabled."))
    return session


async def link(request: Request[OAuthState], provider: Provider, profile: ExternalProfile, user: User) -> None:
    """Links the identity to the user. Raises Conflict."""
    try:
        await request.state["identities"].link(user.id, _identity(provider, profile))
    except IdentityTaken:
        raise Conflict(N_("This identity is linked to another account.")) from None
    await audit(request, Event.IDENTITY_LINKED, user=user, detail=provider.name)


async def _join(
    request: Request[OAuthState], provider: Provider, profile: ExternalProfile, identity: Identity, invitation: str
) -> str:
    state = request.state
    welcome = provider.rule.allows(profile)
    if not welcome and (not invitation or state["settings"].registration == "closed"):
        raise _refused(provider, profile)
    invited = await state["invitations"].valid(invitation) if welcome else invitation
    for name in usernames(profile):
        try:
            user_id, new = await state["identities"].join(
                name,
                identity,
                invited,
                newcomer=state["settings"].legacy,
                display_name=_display_name(profile),
            )
        except NameTaken:
            continue
        except BadInvitation:
            raise SignUpNotAllowed("the invitation is not good", N_("Sign-up needs a valid invitation.")) from None
        if new:
            await audit(request, Event.USER_CREATED, user=user_id, detail=provider.name)
            await _take_email(request, user_id, profile)
        return user_id
    raise AssertionError("a random name was taken")


async def _take_email(request: Request[OAuthState], user_id: str, profile: ExternalProfile) -> None:
    """The provider's verified address, unless an invitation gave one or another account has verified it."""
    user = await request.state["accounts"].by_id(user_id)
    if profile.email and user is not None and not user.email:
        with suppress(EmailTaken, BadProfile):
            await request.state["users"].set_email(user_id, email_of(profile.email), verified=True)
            await audit(request, Event.EMAIL_VERIFIED, user=user_id, detail=profile.issuer)


def _display_name(profile: ExternalProfile) -> str:
    """The name at the provider, as people write it: "Ann Lee"; empty if it cannot be shown."""
    with suppress(BadProfile):
        return display_name_of(without_invisible(profile.name[:MAX_TYPED_LENGTH])[:MAX_DISPLAY_NAME_LENGTH])
    return ""


def _refused(provider: Provider, profile: ExternalProfile) -> SignUpNotAllowed:
    if provider.rule.domains and profile.email is None and text(profile.claims, "email"):
        return SignUpNotAllowed(
            f"{provider.name}: the e-mail address is not verified",
            N_("Your provider does not say that your e-mail address is verified."),
        )
    return SignUpNotAllowed(f"{provider.name}: its rule does not allow this profile")


def usernames(profile: ExternalProfile) -> Iterator[str]:
    """Candidates for the username, best first; the last is random."""
    wanted = [name for name in map(_username, profile.names) if name]
    yield from wanted
    for name in wanted[:1]:
        yield from (f"{name[: MAX_NAME_LENGTH - 2]}-{number}" for number in range(2, NUMBERED + 1))
    first = wanted[0][: MAX_NAME_LENGTH - 9] if wanted else "user"
    yield f"{first}-{secrets.token_hex(4)}"
    yield f"user-{secrets.token_hex(8)}"


def _username(name: str) -> str:
    """The allowed characters of a name, without those that cannot be seen; empty if none is left."""
    seen = without_invisible(name[:MAX_TYPED_LENGTH])
    parts = "".join(" " if character in FORBIDDEN else character for character in seen).split()
    try:
        return normal("-".join(parts)[:MAX_NAME_LENGTH])
    except BadName:
        return ""


def _identity(provider: Provider, profile: ExternalProfile) -> Identity:
    return Identity(
        profile.issuer,
        profile.subject,
        provider.name,
        name=profile.name or profile.email or "",
        picture=profile.picture,
        app=profile.app,
        app_subject=profile.app_subject,
    )
