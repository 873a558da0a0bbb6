"""An OpenID Connect issuer on this machine: discovery, keys, authorization, token and userinfo, over real HTTP.

It signs with RS256 or ES256, keeps to the standard, and can be told to break it in each way that a test needs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from aiohttp import web
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, KeyParameters, RSAKey, import_key

CLIENT_ID = "jitui"
PAGE = '<!doctype html><title>Issuer</title><link rel="icon" href="data:,">'
CLIENT_SECRET = "the secret of our client"


@cache
def key(algorithm: str, name: str = "one") -> Key:
    """A key pair, made once for all tests."""
    parameters: KeyParameters = {"kid": f"{algorithm}-{name}", "use": "sig", "alg": algorithm}
    if algorithm.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384"}[algorithm], parameters)
    return RSAKey.generate_key(2048, parameters)


def signed(claims: Mapping[str, object], by: Key, **header: object) -> str:
    """A token as an issuer makes it."""
    algorithm = str(header.get("alg", by.get("alg")))
    head = {name: value for name, value in {"alg": algorithm, "kid": by.kid, **header}.items() if value is not None}
    free = import_key({name: value for name, value in by.as_dict(private=True).items() if name != "alg"})
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(head, dict(claims), free, registry=registry)


def unsigned(claims: Mapping[str, object], by: Key) -> str:
    """A token that says of itself that nobody signed it."""
    parts = (json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, dict(claims)))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


@dataclass
class Granted:
    """A code that was given out."""

    nonce: str
    challenge: str
    redirect_uri: str


@dataclass
class TestIssuer:
    """What it is told to do; `made` makes the token from claims and the key, `asked` is what came to its addresses."""

    __test__ = False

    url: str = ""
    algorithm: str = "RS256"
    signing: str = "one"
    published: tuple[str, ...] = ("one",)
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "preferred_username": "ada"})
    made: Callable[[dict[str, Any], Key], str] = signed
    user_info: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str | None] = field(default_factory=dict)
    token_answer: tuple[int, dict[str, Any]] | None = None
    forgets_codes: bool = True
    shows_a_page: bool = False
    asked: list[str] = field(default_factory=list)
    codes: dict[str, Granted] = field(default_factory=dict)

    # What it says -----------------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/end",
            "authorization_response_iss_parameter_supported": True,
            **self.discovery,
        }
        return {name: value for name, value in document.items() if value is not None}

    async def on_discovery(self, request: web.Request) -> web.Response:
        self.asked.append("discovery")
        return web.json_response(self.document())

    async def on_keys(self, request: web.Request) -> web.Response:
        self.asked.append("keys")
        return web.json_response(
            {"keys": [key(self.algorithm, name).as_dict(private=False) for name in self.published]}
        )

    async def on_authorize(self, request: web.Request) -> web.Response:
        """It knows who this is, and sends the browser back at once, or by a page with a link."""
        self.asked.append("authorize")
        query = request.query
        assert (query["response_type"], query["client_id"], query["code_challenge_method"]) == (
            "code", CLIENT_ID, "S256",
        )  # fmt: skip
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = Granted(query["nonce"], query["code_challenge"], query["redirect_uri"])
        told: dict[str, str | None] = {"code": code, "state": query["state"], "iss": self.url, **self.answer}
        back = (
            f"{query['redirect_uri']}?{urlencode({name: value for name, value in told.items() if value is not None})}"
        )
        if self.shows_a_page:
            text = PAGE + f'<a id="in" href="{back.replace("&", "&amp;")}">I am Ada</a>'
            return web.Response(text=text, content_type="text/html")
        return web.Response(status=302, headers={"location": back})

    async def on_token(self, request: web.Request) -> web.Response:
        self.asked.append("token")
        form = await request.post()
        if self.token_answer is not None:
            return web.json_response(self.token_answer[1], status=self.token_answer[0])
        if not self._knows_client(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        granted = self.codes.pop(str(form["code"]), None) if self.forgets_codes else self.codes.get(str(form["code"]))
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if granted is None or granted.challenge != challenge or granted.redirect_uri != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": granted.nonce,
            **self.claims,
        }
        token = self.made({name: value for name, value in claims.items() if value is not None}, self.signing_key)
        return web.json_response({"access_token": "an access token", "token_type": "Bearer", "id_token": token})

    async def on_user_info(self, request: web.Request) -> web.Response:
        self.asked.append("userinfo")
        assert request.headers["authorization"] == "Bearer an access token"
        return web.json_response({"sub": self.claims["sub"], **self.user_info})

    async def on_end(self, request: web.Request) -> web.Response:
        self.asked.append(f"end {request.query['client_id']} {request.query['post_logout_redirect_uri']}")
        return web.Response(text=PAGE + "<p>Left.</p>", content_type="text/html")

    @property
    def signing_key(self) -> Key:
        return key(self.algorithm, self.signing)

    def _knows_client(self, request: web.Request, form: Mapping[str, Any]) -> bool:
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if "client_secret_post" in self.discovery.get("token_endpoint_auth_methods_supported", ()):
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        return request.headers.get("authorization") == f"Basic {basic}"

    # What a browser does there --------------------------------------------------------------------------------------

    async def agree(self, address: str) -> str:
        """Where the issuer sends a browser that came to this address."""
        async with httpx.AsyncClient() as http:
            got = await http.get(address)
        assert got.status_code == 302, got.text
        return str(got.headers["location"])


def params_of(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


@asynccontextmanager
async def running_issuer() -> AsyncIterator[TestIssuer]:
    """On a free port of this machine."""
    issuer = TestIssuer()
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", issuer.on_discovery),
            web.get("/keys", issuer.on_keys),
            web.get("/authorize", issuer.on_authorize),
            web.post("/token", issuer.on_token),
            web.get("/userinfo", issuer.on_user_info),
            web.get("/end", issuer.on_end),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (address,) = runner.addresses
    issuer.url = f"http://127.0.0.1:{address[1]}"
    try:
        yield issuer
    finally:
        await runner.cleanup()
