"""The simulator of WeChat, in a process of its own."""

from dev.wechat.api import WeChatApi

APPID, SECRET = "wx-bench", "a-secret-of-the-bench"
app = WeChatApi({APPID: SECRET}).app()
