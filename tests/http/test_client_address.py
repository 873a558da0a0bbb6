"""The client's address: forwarding headers count only from our own proxies."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from jitui.entrypoints.http.client import client_of
from jitui.errors import NotConfigured
from jitui.settings import read_settings

OURS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def scope(peer: str, *headers: tuple[str, str], scheme: str = "http") -> Any:
    return {
        "client": (peer, 4711),
        "scheme": scheme,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", value) for value in values]


@pytest.mark.parametrize(
    ("peer", "lines", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours wrote it
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66, 198.51.100.1"], "198.51.100.1"),  # the left one is the client's own claim
        ("10.0.0.1", ["192.0.2.66", "198.51.100.1"], "198.51.100.1"),  # on a line of its own
        ("10.0.0.1", ["192.0.2.66, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),  # two proxies of ours
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),  # what cannot be read ends the chain
        ("10.0.0.1", ["198.51.100.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1:53211"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:53211"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], ""),
        ("10.0.0.1", [", ".join(["192.0.2.66"] * 200), "198.51.100.1"], "198.51.100.1"),  # however much it claims
    ],
)
def test_the_first_address_from_the_right_that_is_none_of_our_proxies_is_the_client(
    peer: str, lines: list[str], address: str
) -> None:
    assert client_of(scope(peer, *forwarded(*lines)), OURS).address == address


def test_without_named_proxies_no_header_is_believed() -> None:
    got = client_of(scope("127.0.0.1", *forwarded("198.51.100.1"), ("x-forwarded-proto", "https")), ())
    assert (got.address, got.is_tls) == ("127.0.0.1", False)


def test_tls_is_ours_or_our_proxys_word_and_nobody_elses() -> None:
    said = ("x-forwarded-proto", "https")
    assert client_of(scope("10.0.0.1", said), OURS).is_tls
    assert not client_of(scope("203.0.113.9", said), OURS).is_tls
    assert client_of(scope("203.0.113.9", scheme="https"), ()).is_tls
    assert not client_of(scope("10.0.0.1", ("x-forwarded-proto", "https, http")), OURS).is_tls
    assert not client_of(scope("10.0.0.1", ("x-forwarded-proto", "http"), scheme="https"), OURS).is_tls


def test_an_ipv6_client_counts_by_its_network_since_it_has_all_of_it() -> None:
    one, other = (client_of(scope(peer), ()) for peer in ("2001:db8::1", "2001:db8::ffff:2"))
    assert one.counted_as == other.counted_as != client_of(scope("2001:db8:0:1::1"), ()).counted_as
    assert client_of(scope("::ffff:198.51.100.1"), ()).counted_as == "198.51.100.1"


def test_trusted_proxies_are_networks_and_anything_else_is_refused() -> None:
    settings = read_settings({"HOME": "/home/nobody", "JITUI_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7 fd00::/8"})
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
    for wrong in ("proxy.example", "10.0.0.1/8", "10.0.0.0/33", "*"):
        with pytest.raises(NotConfigured, match="JITUI_TRUSTED_PROXIES"):
            read_settings({"HOME": "/home/nobody", "JITUI_TRUSTED_PROXIES": wrong})
