"""Stored responses, compressed with a dictionary of the policy that decided (decision 0057).

Nearly all of an answer is names of fields and the policy's sentences, which are the same in every answer. So the first
answer by a policy is stored plain, and a dictionary for zlib is made from it that has these alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import chain

import msgspec

from jitui.adapters.postgres.batch import run_batch, statement
from jitui.adapters.postgres.migrate import READS_COMPRESSED
from jitui.adapters.postgres.pool import Connection
from jitui.aftersales.changes import Change, RecordDecision
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.ticket import ActorKind, ApprovedBy, Arm, Basis, Reason, TicketState
from jitui.policy.decide import Outcome, Verdict

LEVEL = 3
"""Of zlib: a higher one takes twice the time for a tenth less."""

_WORDS = frozenset(chain(RefundState, ActorKind, ApprovedBy, Arm, Basis, Reason, TicketState, Outcome, Verdict))
_VERSION = metadata.version("jitui")

_FIND = statement(f"""
SELECT json_build_object('document', p.document, 'shown', p.public_view::text, 'dictionary_id', d.dictionary_id,
                         'content', translate(encode(d.content, 'base64'), E'\\n', ''))::text
FROM policy_text p LEFT JOIN answer_dictionary d ON d.policy_sha256 = p.sha256 AND d.version = %(version)s
WHERE p.sha256 = %(policy_sha256)s
  AND coalesce(obj_description('alembic_version'::regclass, 'pg_class'), '') >= '{READS_COMPRESSED}'
""")

_ADD = statement("""
INSERT INTO answer_dictionary (policy_sha256, version, content) VALUES (%(policy_sha256)s, %(version)s, %(content)s)
ON CONFLICT (policy_sha256, version) DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What answers by a policy have in common; it names nobody."""

    dictionary_id: int
    content: bytes


class _Found(msgspec.Struct):
    document: str
    shown: str | None
    dictionary_id: int | None
    content: bytes | None


_FOUND = msgspec.json.Decoder(_Found)


class AnswerCompression:
    """The dictionaries that this process knows, and the answer that the next one is to be made from."""

    def __init__(self) -> None:
        self._known: dict[str, Dictionary | None] = {}
        self._newest: Dictionary | None = None
        self._example: tuple[str, bytes] | None = None

    def stored(self, changes: Sequence[Change], body: bytes) -> tuple[bytes, int | None]:
        """The answer as it is stored, and its dictionary; plain while there is none, or where it saves nothing."""
        policy = next((change.policy_sha256 for change in changes if isinstance(change, RecordDecision)), None)
        if (
            policy is not None and policy not in self._known and body.startswith(b"{")
        ):  # the console stores a ticket's id
            self._example = policy, body
        dictionary = (self._known.get(policy) if policy is not None else None) or self._newest
        if dictionary is None:
            return body, None
        smaller = compressed(body, dictionary.content)
        return (smaller, dictionary.dictionary_id) if len(smaller) < len(body) else (body, None)

    async def learn(self, connection: Connection) -> None:
        """After a commit: find or make the dictionary of a policy that is new to this process."""
        if self._example is None:
            return
        (policy, body), self._example = self._example, None
        named = {"policy_sha256": policy, "version": _VERSION}
        found = await _find(connection, named)
        if found is not None and found.content is None:
            content = common_of(body, f"{found.document} {found.shown}")
            await run_batch(connection, [(_ADD, {**named, "content": content})])
            found = await _find(connection, named)
        if found is None or found.dictionary_id is None or found.content is None:
            self._known[policy] = None  # a policy of the law, or programs of an earlier release may read the answers
        else:
            self._newest = self._known[policy] = Dictionary(found.dictionary_id, found.content)


async def _find(connection: Connection, named: dict[str, str]) -> _Found | None:
    (rows,) = await run_batch(connection, [(_FIND, named)])
    return _FOUND.decode(rows[0][0] or b"") if rows else None


def compressed(body: bytes, dictionary: bytes) -> bytes:
    """The bytes, compressed."""
    making = zlib.compressobj(LEVEL, zdict=dictionary)
    return making.compress(body) + making.flush()


def restored(answer: bytes, dictionary: bytes | None) -> bytes:
    """The answer byte for byte; one without a dictionary is plain. Raises zlib.error for bytes that are damaged."""
    if dictionary is None:
        return answer
    reading = zlib.decompressobj(zdict=dictionary)
    body = reading.decompress(answer) + reading.flush()
    if not reading.eof:
        raise zlib.error("The answer is not whole.")
    return body


def common_of(body: bytes, policy: str) -> bytes:
    """An answer with the texts that are in the policy, and the words of our enums; other texts and numbers are empty.

    INVARIANT: nothing of a buyer or an order stays, because dictionaries outlive an erasure.
    """
    told = " ".join(policy.split())  # a document folds its lines

    def common(value: object) -> object:
        match value:
            case dict():
                return {name: common(part) for name, part in value.items()}
            case list():
                return [common(part) for part in value]
            case bool() | None:
                return value
            case str():
                return value if value in _WORDS or value in told else ""
            case _:
                return 0

    return msgspec.json.encode(common(msgspec.json.decode(body)))
