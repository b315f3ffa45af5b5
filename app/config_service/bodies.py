"""The bodies of requests and responses of the configuration service."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints

from app.accounts.services.services import ConfigGrant
from app.config_service.models import MAX_WHY, NAMESPACE
from app.web.body import Body
from app.web.openapi import ResponseModel

Role = Literal["read", "write", "manage"]
MAX_PEOPLE = 200
Name = Annotated[
    str,
    StringConstraints(pattern=f"^{NAMESPACE.pattern}$"),
    Field(description="1 to 64 small letters, digits, ., - and _; it begins and ends with a letter or digit."),
]


class NewNamespace(Body):
    name: Name
    json_schema: Annotated[Any, Field(alias="schema")] = None
    require_if_match: bool = False


def _grant(value: Any) -> Any:
    return {"role": value} if isinstance(value, str) else value


class Access(Body):
    """Roles by the users' names."""

    users: Annotated[
        dict[str, Annotated[ConfigGrant, BeforeValidator(_grant, json_schema_input_type=Role | ConfigGrant)]],
        Field(max_length=MAX_PEOPLE, strict=False),
    ]


class AccessModel(ResponseModel):
    users: dict[str, Any]


class Rollback(Body):
    version: Annotated[StrictInt, Field(ge=1)]
    why: Annotated[str, Field(max_length=MAX_WHY)] = ""


class NamespaceModel(ResponseModel):
    name: str
    version: int
    keys: int
    role: Role
    json_schema: Annotated[Any, Field(alias="schema")]
    require_if_match: bool


class Namespaces(ResponseModel):
    namespaces: list[NamespaceModel]


class Changed(ResponseModel):
    version: int
    changed: list[str]


class ChangeModel(ResponseModel):
    """`before` and `after` of a secret are omitted for readers who may not see it."""

    key: str
    before: Any = None
    after: Any = None
    secret: bool = False


class VersionModel(ResponseModel):
    version: int
    by: str
    at: float
    why: str
    changes: list[ChangeModel]


class History(ResponseModel):
    versions: list[VersionModel]
