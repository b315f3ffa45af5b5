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

    def __init__(self, account: str, errcode: int = 0, *, forced_too_often: bool = False) -> None:
        detail = N_("There is no valid access token now.")
        if forced_too_often:
            detail = N_("WeChat gives another token once in 30 seconds, and 20 times a day.")
        super().__init__(detail, account=account, errcode=errcode)
        self.errcode = errcode
        self.headers["Retry-After"] = "30" if forced_too_often else "5"
