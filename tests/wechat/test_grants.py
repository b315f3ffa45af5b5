"""What a service may call: its token, its grant, and the limits in it."""

import pytest

from app.settings import Settings
from dev.wechat.api import WeChatApi
from tests.helpers.service import Running, running
from tests.wechat.conftest import LIMITED, NARROW, RAW, TOKEN, hashed

INFO = "/wechat/shop/cgi-bin/user/info?openid=o1"


async def test_ticket_needs_a_grant(service: Running, wechat: WeChatApi) -> None:
    path = "/wechat/shop/cgi-bin/ticket/getticket?type=jsapi"
    for token, status in ((RAW, 200), (NARROW, 403)):
        answer = await service.client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text
    assert wechat.count("/cgi-bin/ticket/getticket") == 1
    other = await service.client.get(f"{path}&type=wx_card", headers={"Authorization": f"Bearer {RAW}"})
    assert other.status_code == 400


@pytest.mark.parametrize("token", ["", "tgs_" + "x" * 43, "tgt_" + "x" * 43])
async def test_proxy_needs_a_services_token(service: Running, wechat: WeChatApi, token: str) -> None:
    answer = await service.client.get(INFO, headers={"Authorization": f"Bearer {token}"} if token else {})
    assert answer.status_code in {400, 401}
    assert not wechat.asked


async def test_grant_may_be_for_one_method(wechat_settings: Settings, wechat: WeChatApi) -> None:
    granted = {"tokens": hashed(TOKEN), "wechat": {"shop": {"paths": ["GET:cgi-bin/user/*", "cgi-bin/tags/get"]}}}
    async with running(wechat_settings.model_copy(update={"services": {"billing": granted}}), wechat.clock) as it:
        program = it.another_client(headers={"Authorization": f"Bearer {TOKEN}"})
        assert (await program.get(INFO)).status_code == 200
        refused = await program.post(INFO, json={})
        assert (refused.status_code, "by POST" in refused.text) == (403, True)
        assert (await program.post("/wechat/shop/cgi-bin/tags/get", json={})).status_code == 200
    assert wechat.count("/cgi-bin/user/info") == 1


async def test_service_has_a_limit(service: Running) -> None:
    headers = {"Authorization": f"Bearer {LIMITED}"}
    assert (await service.client.get(INFO, headers=headers)).status_code == 200
    answer = await service.client.get(INFO, headers=headers)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
