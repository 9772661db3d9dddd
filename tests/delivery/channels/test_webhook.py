"""The webhook channel: signed as Standard Webhooks has it, bounded in time and in what it reads, and stopped by 410."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from api.channels import make_channels
from api.config import ConfigError, load_settings
from engine.delivery.channels import Forked, Holding, Log, Outbox, TryLater
from engine.delivery.channels.webhook import Webhook, decode_secret, sign
from engine.service import ServiceConfig, running
from engine.wire import decode_lines
from tests.delivery.channels.hook import NOW, OK, SECRET, Hook, channel, effect, hooked, resolver


def run(test: Any) -> None:
    async def main() -> None:
        with trio.fail_after(20):
            await test()

    trio.run(main)


def test_a_message_is_posted_and_its_signature_holds() -> None:
    async def main() -> None:
        async with hooked(Hook()) as hook, channel(hook, secrets=[SECRET, b"older" * 6]) as webhook:
            receipt = await webhook.deliver(effect(text="Grüße", url="http://example.com:8080/a?b=c"))
            assert (receipt.effect, receipt.status) == ("welcome.1.hello.0", "delivered")
            [posted] = hook.posted
            assert posted.target == "/a?b=c"
            assert posted.json == {
                "type": "tidemill.message",
                "timestamp": "2026-08-10T22:13:20Z",
                "data": {
                    "id": "welcome.1.hello.0",
                    "channel": "webhook",
                    "contact": "ann",
                    "flow": "welcome",
                    "version": 1,
                    "node": "hello",
                    "address": None,
                    "message": {"text": "Grüße"},
                },
            }
            headers = posted.headers
            assert headers["host"] == "example.com:8080"
            assert headers["content-type"] == "application/json"
            assert headers["webhook-id"] == "welcome_1_hello_0"
            assert headers["webhook-timestamp"] == str(int(NOW))
            signed = f"welcome_1_hello_0.{int(NOW)}.".encode() + posted.body
            newest, older = headers["webhook-signature"].split(" ")
            for signature, secret in ((newest, SECRET), (older, b"older" * 6)):
                want = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
                assert signature == f"v1,{want}"

    run(main)


def test_the_signature_of_the_standards_own_example() -> None:
    """From the specification's test vectors: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw."""
    secret = decode_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = dict(sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret]))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_id_is_the_same_at_every_attempt_and_the_time_is_that_of_the_attempt() -> None:
    async def main() -> None:
        clock = iter([NOW, NOW, NOW + 60, NOW + 60])
        busy = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        async with hooked(Hook(busy, OK)) as hook, channel(hook, now=lambda: next(clock)) as webhook:
            with pytest.raises(TryLater):
                await webhook.deliver(effect(text="x"))
            assert (await webhook.deliver(effect(text="x"))).status == "delivered"
            first, second = hook.posted
            assert first.headers["webhook-id"] == second.headers["webhook-id"]
            assert first.body == second.body
            assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 60
            assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
            assert len(hook.dialled) == 1, "the connection is kept"

    run(main)


def answering(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Length: 2", *headers, "", "no"]).encode()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (answering("200 OK"), "delivered"),
        (answering("202 Accepted"), "delivered"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "delivered"),
        (b"HTTP/1.1 299 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "delivered"),
        (answering("301 Moved", "Location: http://example.com/other"), "failed"),
        (answering("302 Found", "Location: http://169.254.169.254/"), "failed"),
        (answering("307 Temporary Redirect", "Location: /"), "failed"),
        (answering("308 Permanent Redirect", "Location: http://127.0.0.1/"), "failed"),
        (answering("410 Gone"), "failed"),
    ],
)
def test_answers_that_are_final(answer: bytes, status: str) -> None:
    async def main() -> None:
        async with hooked(Hook(answer)) as hook, channel(hook) as webhook:
            assert (await webhook.deliver(effect())).status == status
            assert len(hook.posted) == 1, "a redirect is not followed"

    run(main)


@pytest.mark.parametrize(
    ("answer", "after_s"),
    [
        (answering("400 Bad Request"), None),
        (answering("404 Not Found"), None),
        (answering("429 Too Many Requests", "Retry-After: 7"), 7.0),
        (answering("503 Unavailable", "retry-after: 120"), 120.0),
        (answering("503 Unavailable", "Retry-After: Mon, 10 Aug 2026 13:21:30 GMT"), None),
        (answering("503 Unavailable", "Retry-After: soon"), None),
        (answering("503 Unavailable", "Retry-After: -5"), None),
        (answering("503 Unavailable", "Retry-After: 99999999999999999999"), None),
        (answering("500 Oops"), None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n12\r\nclose", None),
        (b"SSH-2.0-secret-banner\r\nclose", None),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\nclose", None),
        (b"close", None),
    ],
)
def test_answers_after_which_it_is_tried_again(answer: bytes, after_s: float | None) -> None:
    async def main() -> None:
        async with hooked(Hook(answer)) as hook, channel(hook, timeout_s=2.0) as webhook:
            with pytest.raises(TryLater) as raised:
                await webhook.deliver(effect())
            if b"GMT" in answer:
                assert raised.value.after_s is not None
            else:
                assert raised.value.after_s == after_s
            assert "secret" not in str(raised.value)

    run(main)


def test_retry_after_as_a_date_counts_from_now() -> None:
    async def main() -> None:
        later = answering("503 Unavailable", "Retry-After: Tue, 11 Aug 2026 14:00:30 GMT")
        async with hooked(Hook(later)) as hook, channel(hook) as webhook:
            with pytest.raises(TryLater) as raised:
                await webhook.deliver(effect())
            assert raised.value.after_s == 30.0

    run(main)


def test_410_disables_the_url_and_no_other() -> None:
    async def main() -> None:
        async with hooked(Hook(answering("410 Gone"), OK)) as hook, channel(hook) as webhook:
            for _ in range(3):
                receipt = await webhook.deliver(effect())
                assert receipt.status == "failed"
                assert "410 Gone" in receipt.detail
            assert len(hook.posted) == 1
            other = effect(url="http://example.com/other")
            assert (await webhook.deliver(other)).status == "delivered"

    run(main)


async def silent(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


async def endless(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        await stream.send_all(bytes(65536))


async def interim(stream: trio.abc.Stream) -> None:
    while True:
        await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        await trio.sleep(0.02)


async def slow_body(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.02)


@pytest.mark.parametrize("answer", [silent, interim, slow_body])
def test_an_attempt_takes_only_so_long(answer: Any) -> None:
    async def main() -> None:
        async with hooked(Hook(answer)) as hook, channel(hook, timeout_s=0.3) as webhook:
            with pytest.raises(TryLater, match=r"within 0\.3 s"):
                await webhook.deliver(effect())

    run(main)


def test_a_resolver_that_hangs_takes_only_so_long() -> None:
    async def hanging(host: str, port: int) -> list[str]:
        await trio.sleep_forever()
        raise AssertionError

    async def main() -> None:
        async with hooked(Hook()) as hook, channel(hook, timeout_s=0.1, resolve=hanging) as webhook:
            with pytest.raises(TryLater):
                await webhook.deliver(effect())

    run(main)


def test_of_an_answer_only_so_much_is_read() -> None:
    async def main() -> None:
        async with hooked(Hook(endless)) as hook, channel(hook) as webhook:
            assert (await webhook.deliver(effect())).status == "delivered"

    run(main)


@pytest.mark.parametrize(
    "message", [{}, {"url": ""}, {"url": 7}, {"url": None}, {"url": ["http://example.com"]}]
)
def test_a_message_without_a_url_fails_where_the_channel_has_none(message: dict[str, Any]) -> None:
    async def main() -> None:
        async with hooked(Hook()) as hook, channel(hook, url="") as webhook:
            receipt = await webhook.deliver(effect(**message))
            assert receipt.status == "failed"
            assert "`url`" in receipt.detail

    run(main)


def test_tls_is_asked_of_the_name_while_the_address_is_the_checked_one() -> None:
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    seen: list[str | None] = []

    def context_for(name: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(made)
        made.sni_callback = lambda _, server_name, __: seen.append(server_name)
        return made

    async def main() -> None:
        for name, delivered in (("example.com", True), ("evil.example", False)):
            hook = Hook(context=context_for(name))
            async with hooked(hook), channel(hook, url="https://example.com/", trust=trust) as webhook:
                if delivered:
                    assert (await webhook.deliver(effect())).status == "delivered"
                else:
                    with pytest.raises(TryLater, match="certificate"):
                        await webhook.deliver(effect())
            assert hook.dialled == [("93.184.216.34", 443)]
        assert seen == ["example.com", "example.com"]

    run(main)


def test_each_host_and_port_is_a_destination_of_its_own() -> None:
    async def main() -> None:
        async with channel(Hook(OK)) as webhook:
            assert isinstance(webhook, Forked)
            told = [
                webhook.destination(effect(**message))
                for message in (
                    {},
                    {"url": "https://A.example/x"},
                    {"url": "http://a.example:81"},
                    {"url": "no"},
                )
            ]
            assert told == ["example.com", "a.example", "a.example:81", ""]

    run(main)


def test_a_real_engine_delivers_by_webhook_and_waits_as_it_is_told(tmp_path: Path) -> None:
    flow = {
        "id": "f",
        "name": "F",
        "folder": "main",
        "nodes": {
            "go": {"kind": "launch", "trigger": {"event": "Go"}, "next": "tell"},
            "tell": {
                "kind": "step",
                "actions": [{"send": "webhook", "message": {"note": "{{ event.properties.note }}"}}],
            },
        },
    }

    async def main() -> None:
        hook = Hook(answering("429 Slow", "Retry-After: 0"), answering("500 Oops", "Retry-After: 0"), OK)
        async with hooked(hook), channel(hook, url="http://hooks.internal/", allowed=["hooks.internal"],
                                         resolve=resolver(hooks_internal="10.0.0.1")) as webhook:  # fmt: skip
            config = ServiceConfig(
                data=tmp_path,
                channels={"webhook": webhook},
                journal_map_bytes=1 << 26,
                checkpoint_map_bytes=1 << 26,
            )
            async with running(config) as service:
                await service.control("create_flow", document=flow)
                await service.control("launch", flow="f")
                line = b'{"type":"track","userId":"ann","event":"Go","properties":{"note":"hi"}}'
                await service.submit(decode_lines(line))
                while service.kernel.outbox(0, 10):  # noqa: ASYNC110
                    await trio.sleep(0.01)
                assert [one.json["data"]["message"] for one in hook.posted] == [{"note": "hi"}] * 3
                assert len({one.headers["webhook-id"] for one in hook.posted}) == 1
                assert service.statistics()["delivery"]["receipts"] == {"webhook": {"delivered": 1}}

    run(main)


# What can be configured


def settings(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "tidemill.toml"
    file.write_text(text)
    return load_settings(file=file).channels


def test_channels_are_made_from_the_configuration(tmp_path: Path) -> None:
    secret = "whsec_" + base64.b64encode(SECRET).decode()
    (tmp_path / "secret").write_text(f"{secret}\n{'x' * 24}\n")
    text = f"""
[channels.email]
kind = "outbox"
[channels.sms]
kind = "log"
[channels.webhook]
kind = "webhook"
url = "https://example.com/hook"
secret_file = "{tmp_path}/secret"
allow = ["hooks.internal"]
timeout_s = 3
workers = 16
[channels.crm]
kind = "webhook"
secret_env = "CRM_SECRET"
"""
    made = make_channels(settings(tmp_path, text), {"CRM_SECRET": secret})
    assert isinstance(made["email"], Outbox)
    assert isinstance(made["sms"], Log)
    assert isinstance(made["webhook"], Webhook)
    assert isinstance(made["webhook"], Holding)
    assert made["webhook"].workers == 16
    assert isinstance(made["crm"], Webhook)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", "needs a secret"),
        ('secret_file = "a"\nsecret_env = "B"', "one of them"),
        ('secret_file = "absent"', "No such file"),
        ('secret_env = "EMPTY"', "holds 0 secrets"),
        ('secret_env = "MANY"', "holds 5 secrets"),
        ('secret_env = "SHORT"', "fewer than 24 bytes"),
        ('secret_env = "ODD"', "not base64"),
        ('secret_env = "GOOD"\nurl = "https://user@example.com/"', "channels.hook.url: .*without user"),
        ('secret_env = "GOOD"\ntimeout_s = 0', "timeout_s"),
        ('secret_env = "GOOD"\ntimeout_s = 3600', "timeout_s"),
        ('secret_env = "GOOD"\nworkers = 0', "workers"),
        ('secret = "in the file"', "unknown field `secret`"),
    ],
)
def test_a_wrong_configuration_is_one_sentence_without_the_secret(
    tmp_path: Path, lines: str, says: str
) -> None:
    environ = {"MANY": "m " * 5, "SHORT": "tooshort", "ODD": "whsec_!odd!", "GOOD": "x" * 24}
    with pytest.raises(ConfigError, match=says) as raised:
        make_channels(settings(tmp_path, f'[channels.hook]\nkind = "webhook"\n{lines}\n'), environ)
    assert "tooshort" not in str(raised.value)
    assert "!odd!" not in str(raised.value)
