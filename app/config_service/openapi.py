"""The OpenAPI descriptions of the configuration service."""

from functools import partial

from app.config_service.bodies import (
    Access,
    AccessModel,
    Changed,
    History,
    NamespaceModel,
    Namespaces,
    NewNamespace,
    Rollback,
)
from app.config_service.requests import MERGE_PATCH
from app.web.openapi import Operation, Schema

ANY: Schema = {"description": "Any JSON value."}
NS = {"ns": "The namespace's name."}
KEY = NS | {"key": "The key."}
WHY = {"why": "The reason, for the history."}
VALUES: Schema = {"type": "object"}
EDITED = (401, 403, 404, 412, 415, 422, 428)


_config = partial(Operation, tag="configuration", parameters=NS, problems=(403, 404), guarded=True)

CREATE = _config(
    "Create a namespace",
    {201: ("The namespace.", NamespaceModel)},
    parameters={},
    body=NewNamespace,
    problems=(403, 409, 415),
)
LIST = _config("The namespaces that may be read", {200: ("By name.", Namespaces)}, parameters={})
VALUES_OF = _config(
    "The values of a namespace",
    {
        200: ("The values; ETag is the version. X-Config-Hidden names secrets that are left out.", VALUES),
        304: ("If-None-Match is the present version.", None),
    },
    query={
        "version": "A former version.",
        "wait": "Seconds, 60 at most, to wait for a change where If-None-Match is the present version.",
    },
)
PATCH = _config(
    "Change values by a merge patch (RFC 7396)",
    {200: ("The version, and the keys that changed.", Changed)},
    query=WHY,
    body=VALUES,
    accepts=MERGE_PATCH,
    problems=EDITED,
)
VALUE = _config("One value", {200: ("The value.", ANY), 304: ("It is the same.", None)}, parameters=KEY)
PUT_VALUE = _config(
    "Set one value",
    {200: ("The version, and the keys that changed.", Changed)},
    parameters=KEY,
    query=WHY | {"secret": "`true` encrypts the value, and all later values of the key."},
    body=ANY,
    problems=EDITED,
)
DELETE_VALUE = _config("Remove one value", {204: ("It is gone.", None)}, parameters=KEY, query=WHY, problems=EDITED)
SCHEMA = _config("The schema", {200: ("The JSON Schema, or null.", ANY)})
PUT_SCHEMA = _config(
    "Set the schema", {204: ("Every later change has to fit it.", None)}, body=ANY, problems=(*EDITED, 409)
)
ACCESS_OF = _config("Who may do what", {200: ("Roles by name.", AccessModel)})
PUT_ACCESS = _config(
    "Say who may do what",
    {204: ("These roles take the place of all former ones.", None)},
    body=Access,
    problems=(*EDITED, 409),
)
HISTORY = _config(
    "The versions",
    {200: ("The versions, newest first.", History)},
    query={"limit": "How many, 200 at most.", "before": "Only older ones than this version."},
)
ROLLBACK = _config(
    "Bring a version back",
    {200: ("The version, and the keys that changed.", Changed)},
    body=Rollback,
    problems=EDITED,
)
