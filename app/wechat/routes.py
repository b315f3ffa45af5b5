"""Every URL of WeChat."""

from starlette.routing import BaseRoute

from app.web.policy import PolicyRoute, RoutePolicy
from app.wechat import callbacks, client_api, pages, platform_pages
from app.wechat.api_proxy import proxy

MAX_MEDIA_BYTES = 200 * 1024 * 1024
FROM_ANYWHERE = RoutePolicy(cross_site=True)
MEDIA = RoutePolicy(cross_site=True, max_body_bytes=MAX_MEDIA_BYTES)

routes: list[BaseRoute] = [
    *client_api.routes,
    PolicyRoute(client_api.JSSDK_PATH, client_api.preflight, methods=["OPTIONS"], policy=FROM_ANYWHERE),
    *pages.routes,
    PolicyRoute("/wechat/platform/{name}/authorize", platform_pages.authorize, methods=["GET"], head=False),
    PolicyRoute("/wechat/platform/{name}/authorized", platform_pages.authorized, methods=["GET"], head=False),
    PolicyRoute("/wechat/platform/{name}/callback", platform_pages.receive, methods=["POST"], policy=FROM_ANYWHERE),
    PolicyRoute(
        "/wechat/platform/{name}/{appid}/callback",
        platform_pages.receive_message,
        methods=["POST"],
        policy=FROM_ANYWHERE,
    ),
    PolicyRoute("/wechat/{account}/callback", callbacks.check, methods=["GET"], policy=FROM_ANYWHERE),
    PolicyRoute("/wechat/{account}/callback", callbacks.receive, methods=["POST"], policy=FROM_ANYWHERE),
    PolicyRoute("/wechat/{account}/{path:path}", proxy, methods=["GET", "POST"], policy=MEDIA, head=False),
]
