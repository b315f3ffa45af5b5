"""What a redis_url may say, and what is said about mistakes in one: clearly, and never the password."""

import pytest

from app.store.redis_url import Address, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://redis", Address("single", hosts=(("redis", 6379),))),
        ("redis://10.0.0.1:7000/2", Address("single", hosts=(("10.0.0.1", 7000),), options={"db": 2})),
        ("redis://[::1]:7000?db=3", Address("single", hosts=(("::1", 7000),), options={"db": 3})),
        (
            "redis://me:p%40ss%2F%23@redis:6379/0?client_name=tallygate",
            Address(
                "single",
                hosts=(("redis", 6379),),
                options={"client_name": "tallygate", "username": "me", "password": "p@ss/#", "db": 0},
            ),
        ),
        (
            "rediss://:secret@redis?ssl_ca_certs=/ca.pem&ssl_check_hostname=false&ssl_cert_reqs=optional",
            Address(
                "single",
                tls=True,
                hosts=(("redis", 6379),),
                options={
                    "ssl_ca_certs": "/ca.pem",
                    "ssl_check_hostname": False,
                    "ssl_cert_reqs": "optional",
                    "password": "secret",
                },
            ),
        ),
        ("unix:///run/a%20b/r.sock", Address("unix", path="/run/a b/r.sock")),
        (
            "unix://me:secret@/run/r.sock?db=1",
            Address("unix", path="/run/r.sock", options={"db": 1, "username": "me", "password": "secret"}),
        ),
        ("unix:///run/r.sock?password=x", Address("unix", path="/run/r.sock", options={"password": "x"})),
        (
            "redis+sentinel://:secret@s1,s2:7000/visits/4?sentinel_username=u&sentinel_password=p",
            Address(
                "sentinel",
                hosts=(("s1", 26379), ("s2", 7000)),
                service="visits",
                options={"password": "secret", "db": 4},
                sentinel_login={"username": "u", "password": "p"},
            ),
        ),
        ("rediss+sentinel://s1/visits", Address("sentinel", True, (("s1", 26379),), service="visits")),
        ("redis+cluster://a,b:7000/", Address("cluster", hosts=(("a", 6379), ("b", 7000)))),
        ("rediss+cluster://[::1]:7000", Address("cluster", True, (("::1", 7000),))),
    ],
)
def test_a_url_says_where_redis_is(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "has to begin with one of redis://, rediss://, unix://"),
        ("redis.internal:6379", "has to begin with one of"),
        ("http://redis", "has to begin with one of"),
        ("redis://", "has to name a host"),
        ("redis://:6379", "has to name a host"),
        ("redis://:se/cret@redis:6379", "written as %XX"),
        ("redis://:se#cret@redis:6379", "a # in it has to be written as %23"),
        ("redis://:se?cret@redis:6379", "special characters in a password are written as %XX"),
        ("redis://redis:secret", "a port where it is not 6379, as host:port"),
        ("redis://redis:0", "a port where it is not 6379"),
        ("redis://redis:99999", "a port where it is not 6379"),
        ("redis://bad..name:6379", "has to name a host"),
        ("redis://bad name", "has to name a host"),
        ("redis://[::1", "it cannot be read as a URL"),
        ("redis://me:se@cret@redis", "it cannot be read as a URL"),
        ("redis+sentinel://me:12/secret@s1", "it cannot be read as a URL"),
        ("redis://me:12?secret@redis", "it cannot be read as a URL"),
        ("redis://a,b", "several hosts need redis\\+sentinel:// or redis\\+cluster://"),
        ("redis://redis/secret", "the database, which follows the last slash, has to be a whole number"),
        ("redis://redis/-1", "has to be a whole number"),
        ("redis://redis?db=²", "db has to be a whole number"),
        ("redis://redis?secret=1", "an option after its [?] is none of db, username,"),
        ("redis://redis?ssl_ca_certs=/ca.pem", "ssl_ca_certs needs TLS: rediss://"),
        ("rediss://redis?ssl_check_hostname=maybe", "ssl_check_hostname has to be true or false"),
        ("rediss://redis?ssl_cert_reqs=maybe", "ssl_cert_reqs has to be required, optional or none"),
        ("rediss://redis?ssl_keyfile=/key.pem", "ssl_keyfile needs ssl_certfile"),
        ("redis://redis?sentinel_password=secret", "sentinel_password needs redis\\+sentinel://"),
        ("unix://run/redis.sock", "comes after three slashes"),
        ("unix://", "comes after three slashes"),
        ("unix:///", "comes after three slashes"),
        ("redis+sentinel://s1:26379", "has to name Sentinel's service: redis\\+sentinel://host:26379/service"),
        ("redis+sentinel://s1/service/secret", "the database, which follows the last slash,"),
        ("redis+sentinel://s1,/service", "a port where it is not 26379"),
        ("redis+cluster://a/1", "a cluster has no numbered databases"),
        ("redis+cluster://a?db=1", "a cluster has no numbered databases"),
    ],
)
def test_a_mistake_in_a_url_is_named_without_a_password(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        parse(url)
    assert "\n" not in str(error.value)
    assert "cret" not in str(error.value)
