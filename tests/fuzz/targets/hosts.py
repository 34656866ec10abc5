"""Hosts that somebody typed, and the list that says which may be."""

from collections.abc import Sequence
from ipaddress import ip_address

from agentcore.errors import HostNotAllowed
from agentcore_adapters.netguard import Guard, allow_list, is_disguised, is_public
from tests.adapters.test_netguard import ALLOWED, REFUSED
from tests.fuzz.targets import Target, lines

GUARD = Guard(allow_list(["bridge.example", "10.1.0.0/16", "http://[fd00::]/8:9", "93.184.215.14:443"]))


def admit(data: bytes) -> object:
    host, *rest = data.decode(errors="surrogateescape").split("\n")
    port = int(rest[0]) if rest and rest[0].isdecimal() and len(rest[0]) < 9 else 443
    found = GUARD.admit(host, port)
    assert GUARD.admit(found, port) == found, "one spelling"
    if found != "bridge.example":
        address = ip_address(found)
        assert any(entry.network and address in entry.network for entry in GUARD.entries)
        assert not is_disguised(address)
    return found


def entries(data: bytes) -> object:
    words = [line.decode(errors="replace") for line in lines(data)]
    guard = Guard(allow_list(words))
    for entry in guard.entries:
        assert (entry.name is None) != (entry.network is None)
        if entry.network is not None and entry.network.num_addresses == 1:
            assert is_public(entry.network[0]) in {True, False}
    return guard


def words() -> Sequence[bytes]:
    return [word.encode() for listed, *_ in ALLOWED for word in listed] + [b"a\nb", b"10.0.0.0/8:80", b"[::1]/128:1"]


TARGETS = [
    Target(
        name="hosts",
        run=admit,
        allowed=(HostNotAllowed,),
        seeds=[host.encode(errors="surrogateescape") + b"\n443" for host in (*REFUSED, "bridge.example", "fd00::1")],
    ),
    Target(name="allow_list", run=entries, allowed=(ValueError,), seeds=words()),
]
