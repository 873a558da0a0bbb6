"""Addresses of shops: one way to write each, and words for why none of them is reached."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.no_connection import why_no_connection
from jitui.adapters.platforms.shop_client import root_of, sentence
from jitui.bootstrap_platforms import check_access, normal_address, open_adapter
from tests.certificates import certificate
from tests.platforms.node import free_port
from tests.platforms.test_contact_unavailable import SECRETS, saying

KUAISHOU = "app key: a\nsign secret: s\naccess token: t\n"


@pytest.mark.parametrize(
    ("platform", "typed", "root"),
    [
        ("vendure", "https://shop.example/admin-api/", "https://shop.example"),
        ("vendure", "https://shop.example/eu/admin-api", "https://shop.example/eu"),
        ("vendure", "https://shop.example/admin", "https://shop.example/admin"),
        ("medusa", "https://shop.example/admin/", "https://shop.example"),
        ("woocommerce", "https://shop.example/wp-json/", "https://shop.example"),
        ("woocommerce", "https://shop.example/blog/wp-json/wc/v3", "https://shop.example/blog"),
        ("saleor", "https://shop.example/graphql/", "https://shop.example"),
        ("shopify", "https://shop.example/admin", "https://shop.example"),
        ("kuaishou", "https://shop.example/", "https://shop.example"),
        ("magento", "https://shop.example//", "https://shop.example"),
        ("saleor", "HTTPS://Shop.Example:443/Path", "https://shop.example/Path"),
        ("saleor", "http://shop.example:80", "http://shop.example"),
        ("saleor", "https://shop.example:80", "https://shop.example:80"),
        ("saleor", "http://[::1]:8000/graphql", "http://[::1]:8000"),
        ("saleor", "not-an-address", "not-an-address"),
    ],
)
def test_a_shop_has_one_address(platform: str, typed: str, root: str) -> None:
    assert normal_address(platform, typed) == root
    assert normal_address(platform, root) == root


def test_a_sentence_ends_once() -> None:
    assert [sentence(text) for text in ("no", "no.", "no. ", "no..")] == ["no."] * 4
    assert root_of("https://x/a/b/a/b", "/b", "/a") == "https://x"


@asynccontextmanager
async def listening(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that answers nobody."""

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.0 400 no\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(end, "127.0.0.1", 0, ssl=context)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port


@pytest.mark.parametrize("platform", [*SECRETS, "kuaishou"])
async def test_why_there_is_no_connection(platform: str, tmp_path: Path) -> None:
    secret = SECRETS.get(platform) or KUAISHOU

    async def said(url: str) -> str:
        return await check_access(platform, PlatformAccess(url, secret, 10)) or ""

    assert "nothing listens at this port" in await said(f"http://127.0.0.1:{free_port()}")
    assert "no such host is known" in await said("https://shop.invalid")
    async with listening() as port:
        assert "speaks no TLS" in await said(f"https://127.0.0.1:{port}")
    async with listening(self_signed(tmp_path)) as port:
        assert "the certificate is not accepted" in await said(f"https://127.0.0.1:{port}")


def self_signed(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate(folder))
    return context


def test_what_is_none_of_these() -> None:
    assert why_no_connection(OSError("unreachable")) == "the host cannot be reached"
    assert why_no_connection(ExceptionGroup("all", [ConnectionRefusedError()])) == "nothing listens at this port"
    assert why_no_connection(socket.gaierror()) == "no such host is known here"
    assert "no address" in why_no_connection(ValueError("bad"))
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert "no address" in why_no_connection(one), "a circle ends"


@pytest.mark.parametrize("platform", ["woocommerce", "shopify"])
async def test_a_key_is_not_sent_without_tls(platform: str) -> None:
    async with AsyncExitStack() as stack:
        opened = await open_adapter(platform, PlatformAccess("http://shop.example", SECRETS[platform], 5), stack)
        assert isinstance(opened, tuple)
        told = await opened[0].check()
    assert told is not None and told.startswith("The address must begin with https://")


async def test_what_is_no_medusa_is_told_without_the_whole_query() -> None:
    gone = web.json_response(
        {"type": "not_found", "message": "Cannot GET /admin/orders?fields=id%2Cdisplay"}, status=404
    )
    async with saying([gone]) as server:
        told = await check_access("medusa", PlatformAccess(server.url, "sk_k", 5))
    assert told is not None and told.endswith("answered 404: Cannot GET /admin/orders.")
