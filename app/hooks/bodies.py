"""The bodies of requests and responses of webhooks."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from app.events.catalogue import EVENTS
from app.hooks.models import MAX_URL
from app.web.body import Body
from app.web.openapi import ResponseModel


def _known(events: list[str]) -> list[str]:
    unknown = next((name for name in events if name != "*" and name not in EVENTS), None)
    if unknown is not None:
        raise ValueError(f"{unknown}: there is no such event")
    return events


Word = Annotated[str, Field(min_length=1, max_length=100)]
Url = Annotated[str, Field(max_length=MAX_URL)]
Events = Annotated[list[Word], Field(min_length=1, max_length=100), AfterValidator(_known)]


class WebhookChange(Body):
    """Omitted fields stay as they are."""

    url: Url | None = None
    events: Events | None = None
    enabled: bool | None = None
    wechat: Annotated[list[Word], Field(max_length=100)] | None = None
    reply: bool | None = None


class NewWebhook(WebhookChange):
    url: Url
    events: Events


class SendSince(Body):
    since: Annotated[float, Field(ge=0, lt=2**40, description="Unix seconds.")]


class WebhookModel(ResponseModel):
    id: str
    url: str
    events: list[str]
    enabled: bool
    off_why: str
    wechat: list[str]
    reply: bool
    created: float
    old_secret: Annotated[bool, BeforeValidator(bool)]


class CreatedWebhook(WebhookModel):
    secret: str


class NewSecret(ResponseModel):
    secret: str


class SentDelivery(ResponseModel):
    id: str


class SentSince(ResponseModel):
    deliveries: Annotated[int, Field(ge=0)]


class Webhooks(ResponseModel):
    webhooks: list[WebhookModel]


class AttemptModel(ResponseModel):
    at: float
    status: int | None
    ms: int
    headers: dict[str, str]
    body: str


class DeliveryModel(ResponseModel):
    id: str
    event: str
    sequence: int
    state: str
    next_at: float | None
    attempts: list[AttemptModel]


class Deliveries(ResponseModel):
    deliveries: list[DeliveryModel]


class EventModel(ResponseModel):
    name: str
    data_schema: Annotated[dict[str, Any], Field(alias="schema")]
    example: dict[str, Any]


class Catalogue(ResponseModel):
    events: list[EventModel]
