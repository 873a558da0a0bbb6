"""Signing in by OpenID Connect: the authorization code flow with PKCE, state and nonce.

The browser keeps one secret in a cookie; nonce and PKCE's verifier are made of it and of the state, so that the
database holds nothing by which an answer of the issuer could be used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from jitui.errors import Unavailable
from jitui.identity.id_token import Claims, Expected, check_id_token
from jitui.identity.openid_person import Identities, OpenIdClaims, claim_of, needed_claims, person_of
from jitui.identity.people import (
    ATTEMPT_WINDOW,
    Browser,
    NeedsCode,
    People,
    SignedIn,
    SignInFault,
    SignInRefusal,
    Tell,
    Way,
    ask_for_code,
    hash_token,
    start_session,
    tell_nobody,
    too_many,
)

RETURN_PATH = "/sign-in/openid/return"
"""The page of the console to which the issuer sends people back; it is registered there."""
BACK_WITHIN = timedelta(minutes=10)
"""How long somebody may be with the issuer."""
BEGUN_FROM_AN_ADDRESS = 200
"""Sign-ins that one address may begin within the window and not finish; an address may be a whole office."""
LONGEST_ANSWER = 4_000
"""Characters of a code or state that come back."""


class IssuerUnavailable(Unavailable):
    """The issuer does not answer, or not as one; the sentence says how and holds no secret."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """What the issuer says of itself in its discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    posts_client_secret: bool
    names_itself: bool


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a code was exchanged for."""

    id_token: str
    access_token: str


class OpenIdProvider(Protocol):
    """Speaks with the issuer. Each raises IssuerUnavailable."""

    async def issuer(self) -> Issuer: ...

    async def keys(self, *, fresh: bool = False) -> Sequence[object]: ...

    async def authorization_url(self, state: str, nonce: str, verifier: str) -> str: ...

    async def exchange(self, code: str, verifier: str) -> Tokens | SignInFault: ...

    async def user_info(self, access_token: str) -> Claims: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun in this browser, and where it leads to."""

    issuer: str
    next_path: str


class OpenIdSignIns(Protocol):
    """What keeps sign-ins that were begun; a state that was given back is forgotten."""

    async def begin(
        self,
        state_hash: bytes,
        browser_hash: bytes,
        issuer: str,
        next_path: str,
        *,
        now: datetime,
        expires_at: datetime,
    ) -> None: ...

    async def take(self, state_hash: bytes, browser_hash: bytes, now: datetime) -> Begun | SignInFault: ...


@dataclass(frozen=True, slots=True)
class OpenIdRules:
    """Whom we believe, as the settings say.

    `amr` and `acr`: where one is not empty, a token must name one of its values. `factor_is_ours` asks for the second
    factor here although the issuer is asked for the first.
    """

    issuer: str
    client_id: str
    claims: OpenIdClaims
    amr: frozenset[str] = frozenset()
    acr: tuple[str, ...] = ()
    factor_is_ours: bool = False


@dataclass(frozen=True, slots=True)
class OpenId:
    """Everything that a sign-in by OpenID Connect needs."""

    rules: OpenIdRules
    provider: OpenIdProvider
    sign_ins: OpenIdSignIns
    identities: Identities
    people: People


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the browser goes, and the secret that it keeps until it comes back."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the issuer gave the browser to bring back; each is empty where it did not come, or came twice."""

    state: str
    code: str
    error: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a sign-in, and where the reader wanted to go."""

    outcome: SignedIn | NeedsCode | SignInRefusal
    next_path: str = ""


async def begin_sign_in(
    openid: OpenId, next_path: str, *, browser: Browser, now: datetime, tell: Tell = tell_nobody
) -> Sent | SignInRefusal:
    """Remember a new sign-in and say where the issuer asks for it. Raises IssuerUnavailable."""
    if await too_many(openid.people, ((_begun_from(browser), BEGUN_FROM_AN_ADDRESS),), now):
        tell(SignInFault.TOO_MANY_ATTEMPTS, None)
        return SignInRefusal.TOO_MANY_ATTEMPTS
    state, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    url = await openid.provider.authorization_url(
        state, _made_of(secret, "nonce", state), _made_of(secret, "verifier", state)
    )
    await openid.sign_ins.begin(
        hash_token(state), hash_token(secret), openid.rules.issuer, next_path, now=now, expires_at=now + BACK_WITHIN
    )
    return Sent(url, secret)


async def finish_openid_sign_in(
    openid: OpenId, answer: Answer, secret: str, *, browser: Browser, now: datetime, tell: Tell = tell_nobody
) -> Finished:
    """What the issuer's answer is worth in this browser. Raises IssuerUnavailable; the state is used up then too."""
    begun = await openid.sign_ins.take(hash_token(answer.state), hash_token(secret), now)
    if isinstance(begun, SignInFault):
        tell(begun, None)
        return Finished(_REFUSALS[begun])
    done = await _person(openid, answer, begun, secret, now)
    if isinstance(done, SignInFault):
        tell(done, None)
        return Finished(_REFUSALS.get(done, SignInRefusal.NOT_ACCEPTED), begun.next_path)
    account = await person_of(openid.identities, openid.people, openid.rules.issuer, openid.rules.claims, done, now)
    if isinstance(account, SignInFault):
        tell(account, None)
        return Finished(_REFUSALS.get(account, SignInRefusal.NOT_ACCEPTED), begun.next_path)
    await openid.people.forget_attempts(_begun_from(browser), now - ATTEMPT_WINDOW)
    ours = openid.rules.factor_is_ours
    if ours and account.second_factor:
        asked = await ask_for_code(openid.people, account.person, now, way=Way.OPENID)
        return Finished(asked, begun.next_path)
    session = await start_session(openid.people, account.person, browser, now, way=Way.OPENID, second_factor=not ours)
    return Finished(session, begun.next_path)


async def _person(openid: OpenId, answer: Answer, begun: Begun, secret: str, now: datetime) -> Claims | SignInFault:
    """The claims of whoever signed in at the issuer, every rule of ours applied."""
    fault = await _fault_of_answer(openid, answer, begun)
    if fault is not None:
        return fault
    tokens = await openid.provider.exchange(answer.code, _made_of(secret, "verifier", answer.state))
    if isinstance(tokens, SignInFault):
        return tokens
    rules = openid.rules
    expected = Expected(rules.issuer, rules.client_id, _made_of(secret, "nonce", answer.state))
    claims = check_id_token(tokens.id_token, await openid.provider.keys(), expected, now)
    if claims is SignInFault.UNKNOWN_KEY:  # the issuer may have changed its keys since we read them
        claims = check_id_token(tokens.id_token, await openid.provider.keys(fresh=True), expected, now)
    if isinstance(claims, SignInFault):
        return claims
    if not _is_strong(claims, rules):
        return SignInFault.FACTOR_MISSING
    return await _with_user_info(openid, claims, tokens)


async def _fault_of_answer(openid: OpenId, answer: Answer, begun: Begun) -> SignInFault | None:
    issuer = await openid.provider.issuer()
    if begun.issuer != issuer.issuer or (answer.issuer or issuer.issuer) != issuer.issuer:
        return SignInFault.WRONG_ISSUER
    if issuer.names_itself and not answer.issuer:  # RFC 9207: another issuer's answer would be without it
        return SignInFault.WRONG_ISSUER
    return SignInFault.ISSUER_REFUSED if answer.error or not answer.code else None


def _is_strong(claims: Claims, rules: OpenIdRules) -> bool:
    """Whether the issuer says that it asked for what the settings want."""
    methods = claims.get("amr")
    used = {one for one in methods if isinstance(one, str)} if isinstance(methods, list) else set()
    return (not rules.amr or not rules.amr.isdisjoint(used)) and (not rules.acr or claims.get("acr") in rules.acr)


async def _with_user_info(openid: OpenId, claims: Claims, tokens: Tokens) -> Claims | SignInFault:
    """With what the token lacks of the claims that we need, where the issuer tells it elsewhere."""
    rules = openid.rules
    subject = claim_of(claims, rules.claims.subject)
    known = await openid.identities.by_subject(rules.issuer, subject) if isinstance(subject, str) else None
    missing = [name for name in needed_claims(rules.claims, known) if claim_of(claims, name) is None]
    issuer = await openid.provider.issuer()
    if not missing or issuer.userinfo_endpoint is None or not tokens.access_token:
        return claims
    told = await openid.provider.user_info(tokens.access_token)
    if told.get("sub") != claims.get("sub"):
        return SignInFault.WRONG_SUBJECT
    return {**told, **claims}


def _made_of(secret: str, what: str, state: str) -> str:
    """Random for whoever does not know the secret: 43 characters, as PKCE's verifier needs them."""
    made = hmac.new(secret.encode("utf-8", "surrogatepass"), f"{what} {state}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _begun_from(browser: Browser) -> bytes:
    return hash_token(f"openid {browser.address}")


_REFUSALS: Mapping[SignInFault, SignInRefusal] = {
    SignInFault.UNKNOWN_STATE: SignInRefusal.TOO_LATE,
    SignInFault.OTHER_BROWSER: SignInRefusal.OTHER_WINDOW,
    SignInFault.ISSUER_REFUSED: SignInRefusal.ISSUER_REFUSED,
    SignInFault.FACTOR_MISSING: SignInRefusal.FACTOR_MISSING,
    SignInFault.DISABLED: SignInRefusal.NOBODY_HERE,
    SignInFault.EMAIL_NOT_VERIFIED: SignInRefusal.NOBODY_HERE,
    SignInFault.NO_PERSON: SignInRefusal.NOBODY_HERE,
    SignInFault.NO_ROLE: SignInRefusal.NOBODY_HERE,
    SignInFault.NAME_TAKEN: SignInRefusal.NOBODY_HERE,
}
"""What a person is told; every other fault of a token is told in one sentence."""
