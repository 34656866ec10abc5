"""Hazard R1: nothing is connected to that the allow-list does not name, however it is spelt."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from agentcore.errors import HostNotAllowed
from agentcore_adapters.netguard import Guard, allow_list, is_public, resolved

pytestmark = pytest.mark.anyio
PUBLIC, PRIVATE, NAME = "93.184.215.14", "10.0.0.1", "bridge.example"

# Host and why it is refused where `bridge.example` and 10.1.0.0/16 may live; none of them is looked up.
REFUSED = {
    "127.0.0.1": "loopback",
    "127.1": "short",
    "127.000.000.001": "octal or not",
    "0177.0.0.1": "octal",
    "0x7f.0.0.1": "hex",
    "0x7f000001": "hex",
    "2130706433": "decimal",
    "0": "this host",
    "0.0.0.0": "this host",
    "localhost": "loopback by name",
    "localhost.": "trailing dot",
    "127.0.0.1.": "trailing dot",
    "bridge.example.": "trailing dot",
    "::": "unspecified",
    "::1": "loopback",
    "[::1]": "brackets are for addresses of the web",
    "0:0:0:0:0:0:0:1": "loopback, spelt out",
    "::127.0.0.1": "IPv4-compatible",
    "::ffff:10.1.0.1": "IPv4-mapped: the network that it hides in does not count",
    "::ffff:a01:1": "the same in hex",
    "64:ff9b::a01:1": "NAT64",
    "64:ff9b:1::a01:1": "local NAT64",
    "2002:a01:1::": "6to4",
    "2001:0:a01:1::": "Teredo",
    "10.0.0.1": "private",
    "10.2.0.1": "beside the network",
    "172.16.0.1": "private",
    "192.168.0.1": "private",
    "100.64.0.1": "shared",
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata of containers",
    "168.63.129.16": "metadata with a public face",
    "fd00:ec2::254": "metadata",
    "fe80::1": "link-local",
    "fe80::1%eth0": "with a zone",
    "fc00::1": "unique local",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "255.255.255.255": "broadcast",
    "240.0.0.1": "reserved",
    "192.0.2.1": "documentation",
    PUBLIC: "public, and not on the list",
    "other.example": "not on the list",
    "bridge.example.evil.example": "not on the list",
    "sub.bridge.example": "not on the list",
    "bridge.example:80": "a port in the host",
    "user@bridge.example": "credentials",
    "bridge.example/": "a path",
    "bridge.example#": "a fragment",
    "bridge.example\\": "a backslash",
    "bridge.example\r\nX: y": "a header",
    "bridge example": "a space",
    "bridge\u3002example": "a full stop of another script",
    "\u24d1ridge.example": "a letter in a circle",
    "%31%30.1.0.1": "escapes",
    "": "nothing",
    ".": "nothing",
    "-bridge.example": "no label",
    "a" * 64 + ".example": "too long a label",
    ("a." * 130) + "example": "too long",
}


async def nobody(host: str, port: int) -> Sequence[str]:
    raise AssertionError(f"{host} was looked up")


def a_guard(*words: str, found: Sequence[str] = ()) -> Guard:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return found

    return Guard(allow_list(words), resolve)


@pytest.mark.parametrize("host", REFUSED, ids=lambda host: ascii(host)[:40])
async def test_R1_ssrf_guard(host: str) -> None:
    guard = Guard(allow_list(["bridge.example", "10.1.0.0/16"]), nobody)
    with pytest.raises(HostNotAllowed) as refused:
        guard.admit(host, 443)
    assert host == "" or host not in str(refused.value) or host in {"0", "."}
    with pytest.raises(HostNotAllowed):
        await guard.target(host, 443)


@pytest.mark.parametrize(
    "found",
    [
        ("10.0.0.1",), (PUBLIC, "10.0.0.1"), ("127.0.0.1",), ("169.254.169.254",), ("::ffff:93.184.215.14",),
        ("64:ff9b::5db8:d70e",), ("100.64.0.1",), ("168.63.129.16",), ("fe80::1%2",), ("0.0.0.0",), (),
    ],
)  # fmt: skip
async def test_R1_a_name_counts_only_if_all_its_addresses_may_be_reached(found: Sequence[str]) -> None:
    guard = a_guard("bridge.example", found=found)
    assert guard.admit("BRIDGE.example", 443) == "bridge.example"
    with pytest.raises(HostNotAllowed):
        await guard.target("bridge.example", 443)


@pytest.mark.parametrize("host", ["224.0.0.1", "::ffff:10.0.0.1", "0.0.0.0", "64:ff9b::a00:1", "169.254.169.254"])
async def test_R1_not_even_a_list_of_everything_names_these(host: str) -> None:
    with pytest.raises(HostNotAllowed):
        a_guard("0.0.0.0/0", "::/0").admit(host, 80)


ALLOWED = [
    ([NAME], NAME, 443, (PUBLIC,), f"https://{PUBLIC}:443/x", "bridge.example:443"),
    (["http://bridge.example"], NAME, 80, (PUBLIC,), f"http://{PUBLIC}:80/x", "bridge.example:80"),
    ([NAME, "10.0.0.0/8"], NAME, 1, (PRIVATE,), f"https://{PRIVATE}:1/x", f"{NAME}:1"),
    ([NAME, "http://10.0.0.1"], NAME, 1, (PRIVATE,), f"http://{PRIVATE}:1/x", f"{NAME}:1"),
    ([NAME], NAME, 1, ("2606:4700::1", PUBLIC), "https://[2606:4700::1]:1/x", f"{NAME}:1"),
    (["http://10.1.0.0/16:8080"], "10.1.2.3", 8080, (), "http://10.1.2.3:8080/x", "10.1.2.3:8080"),
    ([PUBLIC], PUBLIC, 443, (), f"https://{PUBLIC}:443/x", f"{PUBLIC}:443"),
    (["169.254.169.254"], "169.254.169.254", 80, (), "https://169.254.169.254:80/x", "169.254.169.254:80"),
    (["127.0.0.1"], "127.0.0.1", 80, (), "http://127.0.0.1:80/x", "127.0.0.1:80"),
    (["localhost"], "localhost", 80, ("127.0.0.1", "::1"), "http://127.0.0.1:80/x", "localhost:80"),
    (["[::1]:9"], "::1", 9, (), "http://[::1]:9/x", "[::1]:9"),
    (["fd00::/8"], "FD00:0::5", 9, (), "https://[fd00::5]:9/x", "[fd00::5]:9"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "host", "port", "found", "url", "authority"), ALLOWED)
async def test_what_is_listed_is_reached_at_the_address_that_was_checked(
    words: list[str], host: str, port: int, found: Sequence[str], url: str, authority: str
) -> None:
    target = await a_guard(*words, found=found).target(host, port)
    assert (target.url("/x"), target.authority) == (url, authority)


@pytest.mark.parametrize("port", [80, 0, -1, 65536])
async def test_another_port_is_another_place(port: int) -> None:
    for words in (["bridge.example:8080"], ["10.0.0.0/8:8080"]):
        guard = a_guard(*words, found=(PUBLIC,))
        for host in ("bridge.example", "10.0.0.1"):
            with pytest.raises(HostNotAllowed):
                await guard.target(host, port)


def test_an_entry_that_reads_as_nothing_is_refused() -> None:
    for word in ("", " ", "ftp://x", "10.0.0.5/8", "x/y", "a..b", "-a", "1.2.3", "a:0", "a:99999", "http://", "[x]"):
        with pytest.raises(ValueError, match="such as"):
            allow_list([word])


def test_public_is_what_stands_for_nothing_else() -> None:
    assert is_public(ip_address(PUBLIC))
    for text in ("10.0.0.1", "100.64.0.1", "169.254.169.254", "168.63.129.16", "224.0.0.1", "240.0.0.1", "2002::1"):
        assert not is_public(ip_address(text))


async def test_what_has_no_address_is_found_nowhere() -> None:
    assert await resolved("127.0.0.1", 1) == ("127.0.0.1",)
    assert await resolved("does-not-exist.invalid", 1) == ()
