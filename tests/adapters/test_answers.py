"""Compressing stored responses: what a dictionary may have, and that answers come back byte for byte."""

from __future__ import annotations

import json
import random
import zlib

import pytest

from jitui.adapters.postgres.answers import common_of, compressed, restored

POLICY = "sentence: The buyer is\n    a premium buyer\nid: premium"


def test_a_dictionary_has_the_texts_of_the_policy_and_nothing_of_a_buyer_or_an_order() -> None:
    body = {
        "order_id": "o-1",
        "amount_minor": 12_900,
        "rate": 0.5,
        "state": "refunding",
        "flags": [True, None, "premium"],
        "sentence": "The buyer is a premium buyer",
        "note": "The buyer is a premium buyer!",
    }
    assert json.loads(common_of(json.dumps(body).encode(), POLICY)) == {
        "order_id": "",
        "amount_minor": 0,
        "rate": 0,
        "state": "refunding",
        "flags": [True, None, "premium"],
        "sentence": "The buyer is a premium buyer",
        "note": "",
    }


@pytest.mark.parametrize("size", [0, 1, 300, 70_000])
def test_an_answer_comes_back_byte_for_byte(size: int) -> None:
    dictionary = common_of(b'{"state": "refunding", "amount": {"amount_minor": 1, "currency": "CNY"}}', POLICY)
    body = dictionary + random.Random(size).randbytes(size)
    assert restored(compressed(body, dictionary), dictionary) == body


def test_an_answer_without_a_dictionary_is_plain() -> None:
    assert restored(b"x\x9c plain", None) == b"x\x9c plain"


def test_a_damaged_answer_is_never_replayed() -> None:
    dictionary = b'{"state": "refunding"}'
    packed = compressed(b'{"state": "refunding", "order_id": "o-1"}', dictionary)
    for broken in (packed[:-1], packed[:-6], packed[:-1] + bytes([packed[-1] ^ 1]), b""):
        with pytest.raises(zlib.error):
            restored(broken, dictionary)
    with pytest.raises(zlib.error):
        restored(packed, dictionary + b" ")
