"""Every URL of the configuration service."""

from functools import partial

from starlette.routing import BaseRoute, Route

from app.config_service import api
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
from app.config_service.pages import namespace, namespaces
from app.config_service.requests import LARGE_BODY, MERGE_PATCH
from app.config_service.stream import stream
from app.config_service.values import ConfigValues
from app.web.openapi import ApiRoute, Operation, Schema

NS = "/api/config/{ns}"
ANY: Schema = {"description": "Any JSON value."}
VALUES: Schema = {"type": "object"}
WHY = {"why": "The reason, for the history."}
NOT_MODIFIED = {304: ("If-None-Match is the present ETag.", None)}
IF_NONE_MATCH = {"If-None-Match": "The ETag that the client has."}
CONDITIONS = {
    "If-Match": 'The ETag that is changed, such as `"12"`: 412 if another change came first.',
    "If-None-Match": "`*` sets a key only if it is new.",
}

_config = partial(
    Operation, tag="configuration", parameters={"ns": "The namespace's name.", "key": "The key."}, guarded=True
)
_edit = partial(_config, problems=(412, 422, 428), headers=CONDITIONS)
_manage = partial(_edit, problems=(409, 412, 422, 428))
_get = partial(_config, other_responses=NOT_MODIFIED, headers=IF_NONE_MATCH)
_change = partial(_edit, response=Changed, returns="The version, and the keys that changed.")
VALUES_OF = _get(
    "The values of a namespace",
    VALUES,
    returns="The values; ETag is the version. X-Config-Hidden names secrets that are left out.",
    query={
        "version": "A former version.",
        "wait": "Seconds, 60 at most, to wait for a change where If-None-Match is the present version.",
    },
)
CREATE = _config("Create a namespace", NamespaceModel, status=201, body=NewNamespace, problems=[409])
LIST = _config("The namespaces that may be read, by name", Namespaces)
PATCH = _change(
    "Change values by a merge patch (RFC 7396)",
    query=WHY,
    body=VALUES,
    accepts=MERGE_PATCH,
    problems=(412, 415, 422, 428),
)
VALUE = _get("One value", ANY)
PUT_VALUE = _change(
    "Set one value",
    query=WHY | {"secret": "`true` encrypts the value, and all later values of the key."},
    body=ANY,
)
DELETE_VALUE = _edit("Remove one value", query=WHY)
SCHEMA = _get("The JSON Schema, or null", ANY, returns="The schema; ETag is the version and the revision.")
PUT_SCHEMA = _manage("Set the schema, which every later change has to fit", body=ANY)
ACCESS = _config(
    "Roles by the users' names",
    AccessModel,
    returns="The roles; ETag is the version, the revision, and a mark of the names.",
)
PUT_ACCESS = _manage("Replace all roles", body=Access)
HISTORY = _config(
    "The versions, newest first",
    History,
    query={"limit": "How many, 200 at most.", "before": "Only older ones than this version."},
)
ROLLBACK = _change("Bring a version back", body=Rollback)

routes: list[BaseRoute] = [
    ApiRoute("GET", NS, ConfigValues(), VALUES_OF, name="config_values"),
    ApiRoute("POST", "/api/config", api.create_namespace, CREATE),
    ApiRoute("GET", "/api/config", api.list_namespaces, LIST),
    ApiRoute("PATCH", NS, api.patch_config, PATCH, policy=LARGE_BODY),
    ApiRoute("GET", f"{NS}/values/{{key}}", api.config_value, VALUE),
    ApiRoute("PUT", f"{NS}/values/{{key}}", api.put_config_value, PUT_VALUE),
    ApiRoute("DELETE", f"{NS}/values/{{key}}", api.delete_config_value, DELETE_VALUE),
    ApiRoute("GET", f"{NS}/schema", api.config_schema, SCHEMA),
    ApiRoute("PUT", f"{NS}/schema", api.put_config_schema, PUT_SCHEMA),
    ApiRoute("GET", f"{NS}/access", api.config_access, ACCESS),
    ApiRoute("PUT", f"{NS}/access", api.put_config_access, PUT_ACCESS),
    ApiRoute("GET", f"{NS}/history", api.config_history, HISTORY),
    ApiRoute("POST", f"{NS}/rollback", api.roll_back_config, ROLLBACK),
    Route("/events/config/{ns}", stream, methods=["GET"]),
    *namespaces.routes,
    *namespace.routes,
]
