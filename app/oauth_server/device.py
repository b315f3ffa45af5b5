"""The device authorization grant (RFC 8628), for programs without a browser, and its page `/device`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.accounts.guards import sign_in_required
from app.accounts.helpers import address_of, audit, page, raise_if_limited
from app.accounts.models import User
from app.audit.log import Event
from app.oauth_server.device_store import DEVICE_LIFETIME, INTERVAL, Device
from app.oauth_server.endpoint import authorization_of, form_parameters, issuer_of, oauth_endpoint, open_routes
from app.oauth_server.errors import OAuthError
from app.oauth_server.lifespan import OAuthServerState
from app.oauth_server.models import Client, Family
from app.oauth_server.parameters import refuse_resource
from app.oauth_server.scopes import SCOPES, allowed_scopes
from app.oauth_server.tokens import new_family_id, sid_of
from app.store.rate_limit import Rule, address_key
from app.web.body import form_fields
from app.web.i18n import N_
from app.web.responses import json_response

DeviceRequest = Request[OAuthServerState]
PAGE = "/device"
CODE_LIMIT = Rule("device-code", 10, 300)
ADDRESS_LIMIT = Rule("device-code-address", 50, 300)
UNKNOWN_CODE = N_("There is no such code, or it has expired. Compare it with the one that the device shows.")


@oauth_endpoint
async def begin(request: DeviceRequest) -> Response:
    provider = request.state["oauth_server"]
    parameters = await form_parameters(request)
    client = await provider.authentication.client(authorization_of(request), parameters)
    if not client.device:
        raise OAuthError("unauthorized_client", "the client may not use the device grant")
    refuse_resource(parameters)
    scopes, asked = allowed_scopes(client, parameters.get("scope"))
    device_code, user_code = await provider.devices.begin(client.id, scopes, asked)
    uri = f"{issuer_of(request)}{PAGE}"
    return json_response(
        {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": uri,
            "verification_uri_complete": f"{uri}?user_code={user_code}",
            "expires_in": DEVICE_LIFETIME,
            "interval": INTERVAL,
        }
    )


@sign_in_required
async def show_device(request: DeviceRequest, user: User) -> Response:
    """`GET /device?user_code=`: the form, with the code filled in."""
    issuer_of(request)
    return await page(request, "oauth_server/device.html", code=request.query_params.get("user_code", "")[:20])


@sign_in_required
async def enter_code(request: DeviceRequest, user: User) -> Response:
    """`POST /device` with `user_code`, and after the question with `answer` (allow or deny)."""
    issuer_of(request)
    provider = request.state["oauth_server"]
    fields = await form_fields(request, "user_code", "answer")
    address = address_key(address_of(request))
    raise_if_limited(await request.state["limits"].limiter.spend((CODE_LIMIT, user.id), (ADDRESS_LIMIT, address)))
    device = await provider.devices.find(fields["user_code"])
    client = await provider.clients.find(device.client) if device is not None else None
    if device is None or client is None or not client.device:
        return await _wrong(request, fields["user_code"])
    if not client.may_be_used_by(user.groups):
        await provider.devices.decide(device, None)
        return await page(request, "oauth_server/refused.html", status_code=403, client=client, back="/account")
    match fields["answer"]:
        case "allow":
            done = await _allow(request, user, client, device)
        case "deny":
            done = await provider.devices.decide(device, None)
        case _:
            return await _question(request, client, device, fields["user_code"])
    if not done:
        return await _wrong(request, fields["user_code"])
    return await page(request, "oauth_server/device_done.html", client=client, allowed=fields["answer"] == "allow")


async def _wrong(request: DeviceRequest, code: str) -> Response:
    return await page(request, "oauth_server/device.html", error=UNKNOWN_CODE, code=code[:20])


async def _question(request: DeviceRequest, client: Client, device: Device, code: str) -> Response:
    pages = request.state["pages"]
    locale = pages.locale_of(request.scope)
    words = [pages.translate(locale, SCOPES[scope]) for scope in device.scopes]
    return await page(request, "oauth_server/device_question.html", client=client, scopes=words, code=code[:20])


async def _allow(request: DeviceRequest, user: User, client: Client, device: Device) -> bool:
    """Whether the device still waited."""
    provider, session = request.state["oauth_server"], await request.state["sessions"].open(request.scope)
    assert session is not None  # sign_in_required
    now = provider.clock()
    grant = await provider.issuing.grant(user.id, client)
    family_id = new_family_id()
    family = Family(
        id=family_id, user=user.id, client=client.id, scopes=device.scopes, asked=device.asked, session=session.root,
        sid=sid_of(session.root or family_id), auth_time=session.auth_time, amr=session.amr,
        offline="offline_access" in device.scopes, created=now,
    )  # fmt: skip
    await audit(request, Event.CONSENT_GIVEN, user=user, detail=f"{client.id}: {' '.join(device.scopes)}")
    await provider.backchannel.session_signs_in(session, client)
    await provider.store.use_grant(user.id, client.id, device.scopes, grant)
    await provider.store.begin(family, DEVICE_LIFETIME)
    if await provider.devices.decide(device, family.id):
        return True
    await provider.store.end(family)
    return False


routes: list[BaseRoute] = [
    *open_routes("/oauth2/device_authorization", begin, "POST"),
    Route(PAGE, show_device, methods=["GET"]),
    Route(PAGE, enter_code, methods=["POST"]),
]
