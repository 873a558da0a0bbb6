"""See `jitui.identity.openid.OpenIdProvider`: discovery, keys, and the exchange of a code, over HTTPS.

Authlib makes the authorization request and the token request; its own client wants another HTTP library than ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import msgspec

from jitui.identity.id_token import Claims
from jitui.identity.openid import Issuer, IssuerUnavailable, Tokens
from jitui.identity.people import SignInFault
from jitui.logs import get_logger

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

TIMEOUT_SECONDS = 5.0
"""For one request; a person waits for it."""
KEPT_SECONDS = 3_600.0
"""How long discovery and keys are kept. A token by a key that is not among them has them read again."""
LONGEST_BODY_BYTES = 1_000_000
DISCOVERY = "/.well-known/openid-configuration"
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint")
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")

log = get_logger("jitui.openid")


class HttpOpenIdProvider:
    """One issuer and our client there. Redirects are not followed, and no address but the issuer's own is taken.

    `clock` counts seconds; it says when what was kept is old.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        scopes: Sequence[str],
        acr: Sequence[str] = (),
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self.redirect_uri = redirect_uri
        self._scopes = " ".join(scopes)
        self._acr = " ".join(acr) or None
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._session: ClientSession | None = None
        self._issuer: tuple[float, Issuer] | None = None
        self._keys: tuple[float, Sequence[object]] | None = None
        self._in_trouble = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def issuer(self) -> Issuer:
        """The discovery document, read once an hour. Raises IssuerUnavailable."""
        if self._issuer is None or self._clock() - self._issuer[0] > KEPT_SECONDS:
            told = await self._json("GET", self._name.rstrip("/") + DISCOVERY)
            self._issuer = self._clock(), self._read(told)
        return self._issuer[1]

    async def keys(self, *, fresh: bool = False) -> Sequence[object]:
        """The issuer's public keys, read once an hour or when a `fresh` look is wanted. Raises IssuerUnavailable."""
        if fresh or self._keys is None or self._clock() - self._keys[0] > KEPT_SECONDS:
            uri = (await self.issuer()).jwks_uri
            keys = (await self._json("GET", uri)).get("keys")
            if not isinstance(keys, list):
                raise self._trouble(f"{_place(uri)} has no list of keys")
            self._keys = self._clock(), keys
        return self._keys[1]

    async def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where the browser asks the issuer for a code. Raises IssuerUnavailable."""
        from authlib.oauth2.client import OAuth2Client

        client = OAuth2Client(
            None,
            self._client_id,
            scope=self._scopes,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
        )
        endpoint = (await self.issuer()).authorization_endpoint
        url, _ = client.create_authorization_url(
            endpoint, state=state, code_verifier=verifier, nonce=nonce, acr_values=self._acr
        )
        return str(url)

    async def exchange(self, code: str, verifier: str) -> Tokens | SignInFault:
        """The tokens for a code; CODE_REFUSED where the issuer does not know it any more.

        Raises IssuerUnavailable, also where the issuer does not take our client id or secret.
        """
        from authlib.oauth2.auth import ClientAuth
        from authlib.oauth2.rfc6749.parameters import prepare_token_request

        issuer = await self.issuer()
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=self.redirect_uri, code_verifier=verifier
        )
        method = "client_secret_post" if issuer.posts_client_secret else "client_secret_basic"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        uri, headers, body = ClientAuth(self._client_id, self._client_secret, method).prepare(
            "POST", issuer.token_endpoint, headers, body
        )
        status, told = await self._asked("POST", uri, headers, body)
        if status == 400 and told.get("error") == "invalid_grant":
            return SignInFault.CODE_REFUSED
        if status != 200:
            raise self._trouble(f"{_place(uri)} answered {status} {_error_word(told)}".rstrip())
        self._no_trouble()
        id_token, access_token = told.get("id_token"), told.get("access_token")
        if not isinstance(id_token, str):
            return SignInFault.NO_TOKEN
        return Tokens(id_token, access_token if isinstance(access_token, str) else "")

    async def user_info(self, access_token: str) -> Claims:
        """What the issuer tells of the person beside the token. Raises IssuerUnavailable."""
        uri = (await self.issuer()).userinfo_endpoint
        if uri is None:
            return {}
        return await self._json("GET", uri, {"authorization": f"Bearer {access_token}"})

    # One request ----------------------------------------------------------------------------------------------------

    async def _json(self, method: str, uri: str, headers: Mapping[str, str] | None = None) -> Mapping[str, object]:
        status, told = await self._asked(method, uri, headers or {}, None)
        if status != 200:
            raise self._trouble(f"{_place(uri)} answered {status}")
        self._no_trouble()
        return told

    async def _asked(
        self, method: str, uri: str, headers: Mapping[str, str], body: str | None
    ) -> tuple[int, Mapping[str, object]]:
        """Status and JSON object; an empty object where an answer that is no success holds none."""
        from aiohttp import ClientError

        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._opened().request(
                    method, uri, headers={"accept": "application/json", **headers}, data=body, allow_redirects=False
                ) as response,
            ):
                return response.status, await self._object_of(response)
        except TimeoutError:
            raise self._trouble(f"{_place(uri)} did not answer within {self._timeout_seconds:g} seconds") from None
        except (ClientError, OSError, ValueError) as error:
            raise self._trouble(f"{_place(uri)} cannot be reached: {type(error).__name__}") from None

    async def _object_of(self, response: ClientResponse) -> Mapping[str, object]:
        text = b""
        async for part in response.content.iter_any():
            text += part
            if len(text) > LONGEST_BODY_BYTES:
                raise self._trouble(f"{_place(str(response.url))} answered more than {LONGEST_BODY_BYTES} bytes")
        try:
            return msgspec.json.decode(text, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError):
            if response.status != 200:
                return {}
            raise self._trouble(f"{_place(str(response.url))} answered something that is no JSON object") from None

    def _opened(self) -> ClientSession:
        from aiohttp import ClientSession, DummyCookieJar

        if self._session is None:
            self._session = ClientSession(cookie_jar=DummyCookieJar())
        return self._session

    def _read(self, told: Mapping[str, object]) -> Issuer:
        """The document of our issuer and of no other one, with addresses as safe as the issuer's own."""
        if told.get("issuer") != self._name:
            raise self._trouble("its discovery document is another issuer's")
        found = {name: value for name in _ENDPOINTS if isinstance(value := told.get(name), str)}
        for name in _NEEDED:
            if name not in found:
                raise self._trouble(f"its discovery document has no {name}")
        safe = ("https",) if self._name.startswith("https://") else ("http", "https")
        for name, value in found.items():
            if urlsplit(value).scheme not in safe or not urlsplit(value).hostname:
                raise self._trouble(f"the {name} of its discovery document is no {safe[0]} address")
        methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic = not isinstance(methods, list) or "client_secret_basic" in methods
        return Issuer(
            issuer=self._name,
            authorization_endpoint=found["authorization_endpoint"],
            token_endpoint=found["token_endpoint"],
            jwks_uri=found["jwks_uri"],
            userinfo_endpoint=found.get("userinfo_endpoint"),
            end_session_endpoint=found.get("end_session_endpoint"),
            posts_client_secret=not basic,
            names_itself=told.get("authorization_response_iss_parameter_supported") is True,
        )

    # Trouble is told when it begins and when it has ended -----------------------------------------------------------

    def _trouble(self, reason: str) -> IssuerUnavailable:
        if not self._in_trouble:
            log.warning("openid_issuer_unavailable", issuer=self._name, reason=reason)
        self._in_trouble = True
        return IssuerUnavailable(f"The OpenID Connect issuer cannot be used: {reason}.")

    def _no_trouble(self) -> None:
        if self._in_trouble:
            log.info("openid_issuer_available", issuer=self._name)
        self._in_trouble = False


def _place(uri: str) -> str:
    """Host and path, without what may stand behind them."""
    parts = urlsplit(uri)
    return f"{parts.hostname}{parts.path}"


def _error_word(told: Mapping[str, object]) -> str:
    """OAuth's word for an error, if it is one of its words and not a text."""
    word = told.get("error")
    return word if isinstance(word, str) and len(word) <= 40 and word.replace("_", "").isalpha() else ""
