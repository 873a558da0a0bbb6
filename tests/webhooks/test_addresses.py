"""Which addresses webhooks may be sent to."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from jitui.webhooks.addresses import LONGEST_URL, AddressRules

RULES = AddressRules()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",  # the metadata of one cloud
        "169.254.169.254",  # of most others
        "198.18.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ],
)
def test_what_only_the_service_can_reach_is_refused(address: str) -> None:
    refused = RULES.why_address_refused(address)
    assert refused is not None and address in refused and "is not a public address" in refused


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "203.0.114.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_what_everybody_can_reach_is_called(address: str) -> None:
    assert RULES.why_address_refused(address) is None


def test_a_setting_allows_networks_that_are_not_public() -> None:
    rules = AddressRules((ip_network("10.20.0.0/16"), ip_network("fd00::/8")))
    for address in ("10.20.3.4", "::ffff:10.20.3.4", "64:ff9b::a14:304", "2002:a14:304::1", "fd00::5"):
        assert rules.why_address_refused(address) is None, address
    for address in ("10.21.0.1", "127.0.0.1", "169.254.169.254", "::1"):
        assert rules.why_address_refused(address) is not None, address


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/webhooks",
        "https://shop.example:8443/a/b?c=d&e=%20",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1]:443/",
        "https://xn--fiq228c.example/",
        "HTTPS://SHOP.EXAMPLE",
    ],
)
def test_an_https_address_of_a_public_host_is_taken(url: str) -> None:
    assert RULES.why_url_refused(url) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://shop.example/", "Expected an https address"),
        ("ftp://shop.example/", "such as https://"),
        ("https://", "such as https://"),
        ("https:///path", "such as https://"),
        ("shop.example", "such as https://"),
        ("", "such as https://"),
        ("https://shop.example:0/", "such as https://"),
        ("https://shop.example:99999/", "such as https://"),
        ("https://shop.example:x/", "such as https://"),
        ("https://[::1/", "such as https://"),
        ("https://ada@shop.example/", "without a user"),
        ("https://ada:secret@shop.example/", "without a user"),
        ("https://@shop.example/", "without a user"),
        ("https://shop.example/#part", "without spaces, #"),
        ("https://shop.example/#", "without spaces, #"),
        ("https://shop.example\\@127.0.0.1/", "backslashes"),
        ("https://shop.example/a b", "without spaces"),
        ("https://shop.example/\n", "ASCII"),
        ("https://商店.example/", "ASCII"),
        ("https://shop.example/" + "a" * LONGEST_URL, f"at most {LONGEST_URL}"),
        ("https://127.0.0.1/", "127.0.0.1 is not a public address"),
        ("https://[::1]/", "::1 is not a public address"),
        ("https://169.254.169.254/latest/meta-data", "is not a public address"),
        ("https://localhost/", "::1 is not a public address"),
        ("https://a.localhost/", "is not a public address"),
    ],
)
def test_another_address_is_refused_in_a_sentence(url: str, says: str) -> None:
    refused = RULES.why_url_refused(url)
    assert refused is not None and says in refused and refused.endswith(".")


def test_a_setting_allows_http_and_networks_allow_their_literals() -> None:
    rules = AddressRules((ip_network("127.0.0.0/8"),), allow_http=True)
    for url in ("http://shop.example/", "http://127.0.0.1:9/", "http://localhost:9/"):
        assert rules.why_url_refused(url) is None, url
    assert rules.why_url_refused("http://10.0.0.1/") is not None
    assert rules.why_url_refused("gopher://127.0.0.1/") is not None
