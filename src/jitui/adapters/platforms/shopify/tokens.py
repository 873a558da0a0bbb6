"""Access tokens: one that never ends, of an app made in a shop's admin, or one for a day, of an app's id and secret."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

RENEWED_BEFORE_SECONDS = 300.0


class Granted(Struct, frozen=True):
    """Shopify's answer to a client credentials grant."""

    access_token: str
    expires_in: float = 0.0


@dataclass(slots=True)
class Tokens:
    """The secret of a shop's file: a token, or `client_id:client_secret`."""

    secret: str = field(repr=False)
    clock: Callable[[], float] = time.monotonic
    _token: str = field(default="", repr=False)
    _until: float = 0.0

    @property
    def grant(self) -> dict[str, str] | None:
        """What a token is asked for with; None where the secret is a token."""
        client_id, colon, client_secret = self.secret.strip().partition(":")
        if not colon:
            return None
        return {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}

    @property
    def current(self) -> str | None:
        """The token to send now; None when one must be asked for first."""
        if self.grant is None:
            return self.secret.strip()
        return self._token if self._token and self.clock() < self._until else None

    def take(self, granted: Granted) -> None:
        """Keep a token for as long as it holds, less what a call takes."""
        self._token = granted.access_token
        self._until = self.clock() + granted.expires_in - RENEWED_BEFORE_SECONDS

    def drop(self) -> None:
        """Shopify does not take it any more."""
        self._token = ""
