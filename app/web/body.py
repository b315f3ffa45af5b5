"""Request bodies: form fields and JSON members, checked by name, so that a 400 names the wrong one."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.requests import Request

from app.web.errors import BadRequest, FormOfAnotherUser, UnsupportedMedia
from app.web.headers import content_type
from app.web.redirects import MAX_TARGET_LENGTH
from app.web.strict_json import BadJson, parse
from app.web.templating import FORM_USER

JSON = "application/json"
MAX_FIELD_LENGTH = 2048
"""Of one field; `next` may be as long as a target of a redirect."""
MAX_FORM_FIELDS = 20


async def form_of(request: Request[Any], max_fields: int = MAX_FORM_FIELDS) -> FormData:
    """A form without files. Raises BadRequest; FormOfAnotherUser for a page that stayed open while the user changed.

    Only UTF-8 is accepted: Python also knows codecs that are no charsets, such as `undefined`, or `unicode_escape`,
    which produces lone surrogates.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == b"multipart/form-data" and options.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise BadRequest("Content-Type: a form must be in UTF-8", field="Content-Type")
    form = await request.form(max_files=0, max_fields=max_fields + 1)
    if FORM_USER not in form:
        return form
    users = request.state["current_user"]
    user = await users.get(request.scope) or await users.enrolling(request.scope)
    if user is not None and user.id != form[FORM_USER]:
        raise FormOfAnotherUser
    return FormData([(name, value) for name, value in form.multi_items() if name != FORM_USER])


def max_length(name: str) -> int:
    """Of the field of a form."""
    return MAX_TARGET_LENGTH if name == "next" else MAX_FIELD_LENGTH


async def form_fields(request: Request[Any], *names: str) -> dict[str, str]:
    """The named fields of a form, "" for a missing one. Raises BadRequest for one that is too long or a file."""
    form, fields = await form_of(request), {}
    for name in names:
        value = form.get(name, "")
        if not isinstance(value, str) or len(value) > max_length(name):
            raise BadRequest(f"{name}: must be a text of at most {max_length(name)} characters", field=name)
        fields[name] = value
    return fields


class Body(BaseModel):
    """The base of models of JSON request bodies: no other members, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Text = Annotated[str, Field(max_length=MAX_FIELD_LENGTH)]
Target = Annotated[str, Field(max_length=MAX_TARGET_LENGTH)]
B = TypeVar("B", bound=Body)
MESSAGES = {
    "extra_forbidden": "there is no such field",
    "missing": "is required",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
}

SUBJECT = re.compile("^(?:Input|String|List|Dictionary|Tuple) should")


async def json_body(request: Request[Any], model: type[B]) -> B:
    """The JSON body as a model. Raises BadRequest, which names the first wrong member."""
    return validated(model, await json_object(request))


def validated(model: type[B], document: dict[str, Any]) -> B:
    """The document as a model. Raises BadRequest, which names the first wrong member."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        name, message = first_mistake(error)
        raise BadRequest(f"{name}: {message}", field=name) from None


def first_mistake(error: ValidationError) -> tuple[str, str]:
    """(the first wrong member, what is wrong with it)."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message = MESSAGES.get(first["type"]) or SUBJECT.sub("must", first["msg"]).replace(" after validation", "")
    return ".".join(str(part) for part in first["loc"])[:64], message.removeprefix("Value error, ")


async def json_object(request: Request[Any], accepted: str = JSON) -> dict[str, Any]:
    """The members of a JSON object. Raises as `json_value` does."""
    document = await json_value(request, accepted)
    if not isinstance(document, dict):
        raise BadRequest("body: must be a JSON object", field="body")
    return document


async def json_value(request: Request[Any], accepted: str = JSON) -> Any:
    """The JSON body, of the type that is accepted: a form of another site cannot send it.

    Raises BadRequest; UnsupportedMedia for a patch of another type (RFC 5789, 2.2).
    """
    if content_type(request) != accepted:
        if accepted != JSON:
            raise UnsupportedMedia(accepted)
        raise BadRequest(f"Content-Type: must be {JSON}", field="Content-Type")
    try:
        return parse(await request.body())
    except BadJson as error:
        raise BadRequest(f"{error.member or 'body'}: {error}", field=error.member or "body") from None
