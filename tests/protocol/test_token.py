"""Tokens: what is written is read; every cut, change and addition is refused, and shows nothing."""

from __future__ import annotations

import ipaddress
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.errors import TokenError
from minipipe.protocol.hosts import token as module
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.token import Token, parse_token

KEY, SECRET = bytes(range(32)), bytes(range(100, 132))
TOKEN = Token((Endpoint("10.0.0.7", 7711), Endpoint("fd00::7", 7711)), KEY, SECRET)
# What a secret must not be seen by: itself, as text, and as it stands in the token.
SHOWN = (SECRET.hex(), repr(SECRET)[2:20], TOKEN.text[60:80])

keys = st.binary(min_size=32, max_size=32)
names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{1,10})?", fullmatch=True)
ips = st.ip_addresses().map(ipaddress.ip_address)
hosts = names | ips.filter(lambda ip: not ip.is_unspecified and not ip.is_multicast).map(str)
endpoints = st.builds(Endpoint, hosts, st.integers(1, 65_535), st.just(""))
tokens = st.builds(Token, st.lists(endpoints, min_size=1, max_size=32).map(tuple), keys, keys)


@given(tokens)
def test_what_is_written_is_read(token: Token) -> None:
    text = token.text
    assert parse_token(text) == token
    assert text.isascii() and text.isprintable() and " " not in text
    broken = "\r\n  ".join(text[at : at + 40] for at in range(0, len(text), 40))
    assert parse_token(f"  {broken}\n") == token


def test_every_cut_is_named_as_one() -> None:
    for length in range(1, len(TOKEN.text)):
        with pytest.raises(TokenError, match="was cut"):
            parse_token(TOKEN.text[:length])


def test_every_change_of_a_character_is_noticed() -> None:
    text = TOKEN.text
    for at, character in enumerate(text):
        for other in "A9-_z":
            if other != character:
                with pytest.raises(TokenError) as caught:
                    parse_token(text[:at] + other + text[at + 1 :])
                shows_nothing(caught.value)


@given(st.text(alphabet="AZaz09-_", min_size=1, max_size=9))
def test_what_stands_behind_its_end_is_counted(more: str) -> None:
    with pytest.raises(TokenError, match=f"has {len(more)} characters behind its end"):
        parse_token(TOKEN.text + more)


@given(
    st.text(max_size=200)
    | st.text(alphabet="MINIPE1-AZaz09_=", max_size=200).map("MINIPIPE1-".__add__)
)
def test_whatever_else_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(TokenError) as caught:
        parse_token(text)
    assert str(caught.value).startswith("the token ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("SWMTKN-1-49nj1cmql0jkz5s954yi3oex3nedyz", "is none of MiniPipe's"),
        (f"minipipe agent --join {TOKEN.text}", "is none of MiniPipe's"),
        ("MINIPIPE2-AAAA", "is of version 2, and this MiniPipe reads version 1"),
        ("MINIPIPE0-AAAA", "is of version 0"),
        (TOKEN.text[:50] + "!" + TOKEN.text[51:], "a character at position 51 that is none"),
        (TOKEN.text[:50] + "\u2013" + TOKEN.text[51:], "a character at position 51 that is none"),
    ],
)
def test_a_wrong_one_is_told_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(TokenError, match=says) as caught:
        parse_token(text)
    shows_nothing(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).what == caught.value.what


@given(st.binary(max_size=120))
def test_another_writer_with_a_right_checksum_is_refused(content: bytes) -> None:
    body = len(content).to_bytes(2, "big") + content
    text = f"MINIPIPE1-{module._encode(body + module._checksum(1, body))}"
    try:
        token = parse_token(text)
    except TokenError as error:
        assert "not written by this version" in str(error)
    else:
        assert token.text == text


def test_nothing_of_the_secret_is_shown() -> None:
    for text in (repr(TOKEN), str(TOKEN), f"{TOKEN}", f"{(TOKEN,)}"):
        assert "10.0.0.7" in text
        assert not any(part in text for part in SHOWN)


def shows_nothing(error: TokenError) -> None:
    text = "".join(traceback.format_exception(error, chain=True)) + repr(error)
    # (The source lines of this file are in a traceback, the values of its variables are not.)
    assert not any(part in text for part in SHOWN)


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        (Endpoint("0.0.0.0", 1), "a place to bind to"),
        (Endpoint("::", 1), "a place to bind to"),
        (Endpoint("224.0.0.1", 1), "many hosts"),
        (Endpoint("fe80::1%eth0", 1), "names a network card"),
        (Endpoint("a b", 1), "neither an IP address nor the name"),
        (Endpoint("", 1), "neither an IP address nor the name"),
        (Endpoint("10.0.0.256", 1), "no IPv4 address"),
        (Endpoint("a" * 254, 1), "neither an IP address nor the name"),
        (Endpoint("host", 0), "from 1 to 65535"),
        (Endpoint("host", 65_536), "from 1 to 65535"),
    ],
)
def test_an_address_that_leads_nowhere_is_not_written(endpoint: Endpoint, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Token((endpoint,), KEY, SECRET)


@pytest.mark.parametrize("broken", [((), KEY, SECRET), (TOKEN.endpoints, KEY[1:], SECRET)])
def test_a_token_has_addresses_and_whole_keys(broken: tuple[object, ...]) -> None:
    with pytest.raises(ValueError):
        Token(*broken)  # type: ignore[arg-type]


def test_equal_addresses_are_written_alike() -> None:
    one, other = (Token((Endpoint(ip, 1),), KEY, SECRET) for ip in ("fd00:0::1", "FD00::0:1"))
    assert one == other
    assert one.endpoints[0].address == "tcp://[fd00::1]:1"
    assert TOKEN.endpoints[0].address == "tcp://10.0.0.7:7711"
