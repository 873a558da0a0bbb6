"""Both clients over httpx: addresses, keys, pages, and answers that do not end; without a service."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from jitui.client import AsyncClient, Client, Limits, NoAnswer, Problem, Refused, WrongAnswer, api
from jitui.errors import BadInput

URL, KEY = "https://refunds.example.com/jitui", "jt_1_secret"
QUICK = Limits(tries=2, timeout_seconds=0.3, give_up_after_seconds=2)
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, *, key: str = KEY, limits: Limits = QUICK) -> Client:
    return Client(URL, key, limits=limits, transport=httpx.MockTransport(handler))


def alive(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"status": "ok"})


def test_what_is_sent() -> None:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"state": "odd"})

    with client(take) as jitui, pytest.raises(WrongAnswer):
        jitui.send(api.put_buyer("b/1", api.BuyerSent(region="CN-33")))
    (request,) = seen
    assert (request.method, str(request.url)) == ("PUT", f"{URL}/v1/buyers/b%2F1")
    assert (request.content, request.headers["content-type"]) == (b'{"region":"CN-33"}', "application/json")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert len(request.headers["x-request-id"]) == 36 and "idempotency-key" not in request.headers


def test_without_a_key_none_is_sent() -> None:
    def take(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return alive(request)

    with client(take, key="") as jitui:
        assert jitui.send(api.healthz()) == api.AliveAnswer(status="ok")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://refunds.example.com", "The key could be read on the way to refunds.example.com"),
        ("http://10.0.0.7:8000", "could be read on the way to 10.0.0.7"),
        ("http://localhost.example.com", "could be read"),
        ("ftp://refunds.example.com", "is such as https://"),
        ("refunds.example.com", "is such as https://"),
        ("https://", "is such as https://"),
        ("", "is such as https://"),
        ("https://refunds.example.com/?key=1", "is such as https://"),
        ("https://refunds.example.com/#v1", "is such as https://"),
        ("https://user:password@refunds.example.com", "holds a name or a password"),
        ("https://refunds.example.com:99999", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://refunds.example.com/\n", "is such as https://"),
    ],
    ids=range(13),
)
def test_an_address_that_cannot_be_used_is_refused(url: str, said: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(BadInput, match=said) as refused:
            kind(url, KEY)
        assert "password@" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "http://127.9.9.9"]
)
def test_this_machine_may_be_called_without_tls(url: str) -> None:
    Client(url, KEY).close()


def test_another_machine_may_be_called_without_tls_when_that_is_allowed() -> None:
    Client("http://10.0.0.7", KEY, allow_http=True).close()


@pytest.mark.parametrize("key", ["jt_1 x", "jt_1\n", "jt_é", "jt_\x00"], ids=ascii)
def test_a_key_that_is_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(BadInput, match="is no key") as refused:
        Client(URL, key)
    assert key not in str(refused.value)


def test_no_error_shows_the_key() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    with client(refuse) as jitui, pytest.raises(NoAnswer) as error:
        jitui.send(api.healthz())
    assert KEY not in f"{error.value!s}{error.value!r}{jitui.__dict__}"
    assert error.value.__cause__ is None


# Pages ---------------------------------------------------------------------------------------------------------------


def paged(request: httpx.Request) -> httpx.Response:
    at = int(request.url.params.get("cursor", "0"))
    following = str(at + 1) if at < 2 else None
    pause = {"id": str(at), "text": {}}
    texts: dict[str, Any] = {name: {} for name in ("title", "legal_basis", "notice")}
    times = dict.fromkeys(("effective_from", "published_at", "takes_effect_at"), "2026-06-01T00:00:00Z")
    since: dict[str, Any] = {"replaced_at": None, "rolled_back": False, "changes": []}
    since |= {"loss_borne_by": "platform", "loss_shop_percent": None, "advance_up_to_minor": None}
    row = {"policy_id": f"p{at}", "version": "1", "conditions": [pause], **texts, **times, **since}
    return httpx.Response(200, json={"policies": [row] if at != 1 else [], "next": following})


def test_each_row_of_every_page_also_behind_an_empty_one() -> None:
    with client(paged) as jitui:
        assert [policy.policy_id for policy in jitui.each(api.list_policies(limit=1))] == ["p0", "p2"]
        assert len(list(jitui.pages(api.list_policies()))) == 3


async def test_asyncio_reads_the_same_pages() -> None:
    async with AsyncClient(URL, KEY, transport=httpx.MockTransport(paged)) as jitui:
        assert [policy.policy_id async for policy in jitui.each(api.list_policies())] == ["p0", "p2"]


class Feed:
    """A feed of two events, one a page, with a cursor of its own."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(dict(request.url.params))
        at = int(request.url.params.get("after", "c0")[1:])
        whose = {"order_id": "o", "buyer_pseudonym": "bp_1", "shop_id": "s", "ticket_id": None}
        event: dict[str, Any] = {"position": at, "kind": "stop_ship", "at": "2026-06-01T00:00:00Z", "body": {}, **whose}
        changes = [event] if at in (0, 1, 3) else []
        return httpx.Response(200, json={"changes": changes, "next": f"c{at + 1}"})


def test_a_feed_ends_for_now_with_an_empty_page() -> None:
    feed = Feed()
    with client(feed) as jitui:
        assert [event.position for event in jitui.each(api.list_changes())] == [0, 1]
        assert [event.position for event in jitui.each(api.list_changes(after="c1"))] == [1]


def test_a_feed_is_followed_over_empty_pages_and_says_where_to_go_on() -> None:
    feed = Feed()
    with client(feed) as jitui:
        followed = jitui.follow(api.list_changes(after="c1", wait_seconds=1))
        pages = [next(followed), next(followed)]
    assert [(page.changes[0].position, page.next) for page in pages] == [(1, "c2"), (3, "c4")]
    assert [asked["after"] for asked in feed.asked] == ["c1", "c2", "c3"]
    assert {asked["wait_seconds"] for asked in feed.asked} == {"1"}


async def test_asyncio_follows_it_too() -> None:
    async with AsyncClient(URL, KEY, transport=httpx.MockTransport(Feed())) as jitui:
        found = []
        async for page in jitui.follow(api.list_changes()):
            found.append(page.next)
            if len(found) == 3:
                break
    assert found == ["c1", "c2", "c4"]


# Answers that are none -----------------------------------------------------------------------------------------------


class Dripping(httpx.SyncByteStream):
    """An answer that goes on for ever, a byte at a time."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            time.sleep(0.05)
            yield b" "


def test_an_answer_that_does_not_end_is_given_up() -> None:
    with (
        client(lambda _: httpx.Response(200, stream=Dripping())) as jitui,
        pytest.raises(NoAnswer, match=r"did not end within 0\.3 seconds"),
    ):
        jitui.send(api.healthz())


class Endless(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b" " * 2**22


def test_an_answer_that_is_too_large_is_refused() -> None:
    with (
        client(lambda _: httpx.Response(200, stream=Endless()), limits=Limits()) as jitui,
        pytest.raises(WrongAnswer, match="more than 67,108,864 bytes"),
    ):
        jitui.send(api.healthz())


def test_an_answer_that_cannot_be_unpacked_is_refused() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        packed = gzip.compress(b'{"status":"ok"}')[:-12]
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"x" + packed))

    with client(broken) as jitui, pytest.raises(WrongAnswer, match="cannot be decoded"):
        jitui.send(api.healthz())


def test_a_redirect_is_not_followed_with_the_key() -> None:
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://elsewhere.example/"})

    with client(redirect) as jitui, pytest.raises(WrongAnswer, match=r"elsewhere\.example/, which is not followed"):
        jitui.send(api.healthz())
    assert asked == ["refunds.example.com"]


def test_a_problem_is_a_value_or_an_exception() -> None:
    body = {"type": "/problems/not-found", "title": "Not found", "status": 404, "detail": "There is no such thing."}

    def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json=body, headers={"content-type": "application/problem+json"})

    with client(refuse) as jitui:
        outcome = jitui.outcome(api.get_order("o-1"))
        assert isinstance(outcome, Problem) and outcome.kind == "not-found"
        with pytest.raises(Refused) as refused:
            jitui.send(api.get_order("o-1"))
    assert refused.value.problem.detail == "There is no such thing."


# What it imports -----------------------------------------------------------------------------------------------------


def test_the_client_imports_nothing_of_the_server() -> None:
    code = "import jitui.client, sys; print('\\n'.join(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    own = {name for name in loaded if name.startswith("jitui.") and not name.startswith("jitui.client")}
    assert own == {"jitui.errors"}
    assert not loaded & {"litestar", "psycopg", "cel_expr_python", "duckdb", "babel", "structlog", "aiohttp", "typer"}


def test_both_clients_offer_the_same() -> None:
    offered = [{name for name in dir(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)]
    assert offered[0] == offered[1] == {"send", "outcome", "pages", "each", "follow", "close"}


async def test_asyncio_runs_calls_beside_one_another() -> None:
    both: Any = asyncio.Barrier(2)

    async def meet(request: httpx.Request) -> httpx.Response:
        await both.wait()
        return alive(request)

    async with AsyncClient(URL, KEY, transport=httpx.MockTransport(meet)) as jitui:
        answers = await asyncio.gather(jitui.send(api.healthz()), jitui.send(api.healthz()))
    assert [answer.status for answer in answers] == ["ok", "ok"]
