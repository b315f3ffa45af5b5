"""Every URL of the configuration service."""

from starlette.routing import BaseRoute, Route

from app.config_service import api, openapi
from app.config_service.pages import namespace, namespaces
from app.config_service.requests import LARGE_BODY
from app.config_service.stream import stream
from app.config_service.values import ConfigValues
from app.web.openapi import ApiRoute

NS = "/api/config/{ns}"
routes: list[BaseRoute] = [
    ApiRoute("GET", NS, ConfigValues(), openapi.VALUES_OF, name="config_values"),
    ApiRoute("POST", "/api/config", api.create, openapi.CREATE, name="create_namespace"),
    ApiRoute("GET", "/api/config", api.listed, openapi.LIST, name="list_namespaces"),
    ApiRoute("PATCH", NS, api.patch, openapi.PATCH, name="patch_config", policy=LARGE_BODY),
    ApiRoute("GET", f"{NS}/values/{{key}}", api.get_value, openapi.VALUE, name="config_value"),
    ApiRoute("PUT", f"{NS}/values/{{key}}", api.put_value, openapi.PUT_VALUE, name="put_config_value"),
    ApiRoute("DELETE", f"{NS}/values/{{key}}", api.delete_value, openapi.DELETE_VALUE, name="delete_config_value"),
    ApiRoute("GET", f"{NS}/schema", api.get_schema, openapi.SCHEMA, name="config_schema"),
    ApiRoute("PUT", f"{NS}/schema", api.put_schema, openapi.PUT_SCHEMA, name="put_config_schema"),
    ApiRoute("GET", f"{NS}/access", api.get_access, openapi.ACCESS_OF, name="config_access"),
    ApiRoute("PUT", f"{NS}/access", api.put_access, openapi.PUT_ACCESS, name="put_config_access"),
    ApiRoute("GET", f"{NS}/history", api.history, openapi.HISTORY, name="config_history"),
    ApiRoute("POST", f"{NS}/rollback", api.rollback, openapi.ROLLBACK, name="roll_back_config"),
    Route("/events/config/{ns}", stream, methods=["GET"]),
    *namespaces.routes,
    *namespace.routes,
]
