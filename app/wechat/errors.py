"""The problems of WeChat: 502, 503 and 504 of its API."""

from app.web.errors import Problem
from app.web.i18n import N_


class WeChatProblem(Problem):
    """WeChat's response is not usable."""

    status = 502
    title = N_("WeChat does not respond as it should")
    detail = None


class WeChatTimeout(WeChatProblem):
    status = 504


class NoToken(WeChatProblem):
    """There is no valid access token, and none can be fetched."""

    status = 503

    def __init__(self, account: str, errcode: int = 0) -> None:
        super().__init__(N_("There is no valid access token now."), account=account, errcode=errcode)
        self.errcode = errcode
        self.headers["Retry-After"] = "5"
