"""Where the server may connect to, when others say where.

Law: an address that somebody typed is reached only if the allow-list names it, and the address that was checked is the
one that is connected to.  What is not plainly a host is refused before anything is looked up; a name counts only if
every address it has may be reached; private addresses, and those that stand for others, need an entry of their own.

An entry is ``[http://]host[:port]``: a name, an address, or a network such as ``10.0.0.0/8``.  Without ``http://`` only
https is spoken, loopback apart; without a port any port will do.
"""

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import anyio
from attrs import evolve, field, frozen

from agentcore.errors import HostNotAllowed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*", re.ASCII)
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # a last label like this is an address in an odd spelling
ENTRY = re.compile(r"(?:(https?)://)?(\[[0-9a-fA-F:.]+\](?:/[0-9]+)?|[^\[\]\s/:]+(?:/[0-9]+)?|[0-9a-fA-F:.]+(?:/[0-9]+)?)"
                   r"(?::([0-9]{1,5}))?", re.ASCII)  # fmt: skip
# Addresses that are another's address in disguise, or nobody's: no entry allows them.
NEVER = tuple(map(ipaddress.ip_network, (
    "0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48",
    "2001::/32", "2002::/16", "ff00::/8",
)))  # fmt: skip
# Where clouds keep credentials: a network that holds one of them does not name it.
METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200",
                                                "fd00:ec2::254")))  # fmt: skip
SHARED = tuple(map(ipaddress.ip_network, ("100.64.0.0/10", "192.88.99.0/24", "fec0::/10")))  # not all called private
LOCALHOST = "localhost"
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@frozen(kw_only=True)
class Entry:
    """A line of the allow-list: a name, or a network."""

    name: str | None = None
    network: Network | None = None
    port: int | None = None
    is_plain: bool = False  #: Plain http may be spoken.
    is_ours: bool = False  #: From our own settings: a name counts with its private addresses.

    def covers(self, address: Address) -> bool:
        """Tell whether it names *address*."""
        if self.network is None or address not in self.network:
            return False
        return address not in METADATA or self.network.num_addresses == 1


@frozen(kw_only=True)
class Target:
    """Where to connect to, and as whom to greet it."""

    scheme: str
    host: str  #: For the Host header and the certificate.
    port: int
    address: Address

    def url(self, path: str) -> str:
        """Return the address to connect to, with *path*."""
        address = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{self.scheme}://{address}:{self.port}{path}"

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


async def resolved(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(place[0]) for *_, place in found))


@frozen
class Guard:
    """Keeps the promises of ``Hosts``, and says where to connect to."""

    entries: tuple[Entry, ...]
    resolve: Resolve = field(default=resolved, repr=False)

    def admit(self, host: str, port: int) -> str:
        """Return *host* in its one spelling; raises HostNotAllowed."""
        text = _plain(host)
        if not 1 <= port <= 65535:
            raise HostNotAllowed("hostPort must be 1 to 65535.", "hostPort")
        address = _address(text)
        if address is not None:
            self._entry_of(address, port)
        elif not self._named(text, port):
            raise _refusal()
        return text if address is None else str(address)

    async def target(self, host: str, port: int) -> Target:
        """Look *host* up once and choose the address to connect to; raises HostNotAllowed if any of them may not be."""
        host = self.admit(host, port)
        literal = _address(host)
        if literal is not None:
            entry = self._entry_of(literal, port)
            return Target(scheme=_scheme(entry, literal), host=host, port=port, address=literal)
        named = self._named(host, port)
        addresses = [ipaddress.ip_address(text) for text in await self.resolve(host, port) if "%" not in text]
        if not addresses:
            raise HostNotAllowed("The host has no address that could be asked.", "serverHost")
        plain = [_scheme(self._entry_for(address, port, named), address) for address in addresses]
        scheme = "http" if all(scheme == "http" for scheme in plain) else "https"
        return Target(scheme=scheme, host=host, port=port, address=addresses[0])

    def _named(self, name: str, port: int) -> Sequence[Entry]:
        return [entry for entry in self.entries if entry.name == name and entry.port in {None, port}]

    def _entry_of(self, address: Address, port: int) -> Entry:
        """Return the entry that names *address* itself; one that allows plain http first."""
        found = [entry for entry in self.entries if entry.covers(address) and entry.port in {None, port}]
        if not found or is_disguised(address):
            raise _refusal()
        return max(found, key=lambda entry: entry.is_plain)

    def _entry_for(self, address: Address, port: int, named: Sequence[Entry]) -> Entry:
        """Return the entry that allows *address*, which a name on the list has: public ones need no other."""
        if is_public(address):
            return max(named, key=lambda entry: entry.is_plain)
        if address.is_loopback and any(entry.name == LOCALHOST for entry in named):
            return named[0]
        ours = [entry for entry in named if entry.is_ours]
        if ours and not (is_disguised(address) or address in METADATA):
            return ours[0]
        return self._entry_of(address, port)


def only(scheme: str, host: str, port: int, resolve: Resolve = resolved) -> Guard:
    """Return a guard that lets through one place, which our own settings name; raises ValueError if it is none."""
    bare = f"[{host}]" if ":" in host else host
    (entry,) = allow_list([f"{scheme}://{bare}:{port}"])
    return Guard((evolve(entry, is_ours=True, is_plain=scheme == "http"),), resolve)


def is_disguised(address: Address) -> bool:
    """Tell whether *address* stands for another one, or for none or many."""
    return str(address) != "::1" and any(address in network for network in NEVER)


def is_public(address: Address) -> bool:
    """Tell whether *address* is one of the open internet."""
    if address in METADATA or is_disguised(address) or any(address in network for network in SHARED):
        return False
    return address.is_global and not address.is_multicast


def allow_list(words: Iterable[str]) -> tuple[Entry, ...]:
    """Read the entries of an allow-list; raises ValueError that says what an entry looks like."""
    return tuple(map(_entry, words))


def _entry(word: str) -> Entry:
    wrong = ValueError("names, addresses or networks such as bridge.example, http://10.0.0.5:8080 or 10.0.0.0/8")
    match = ENTRY.fullmatch(word.strip())
    if match is None:
        raise wrong
    scheme, text, port = match[1], match[2].replace("[", "").replace("]", "").lower(), match[3]
    number = int(port) if port else None
    if number is not None and not 1 <= number <= 65535:
        raise wrong
    is_plain = scheme == "http"
    try:
        return Entry(network=ipaddress.ip_network(text), port=number, is_plain=is_plain)
    except ValueError:
        if NAME.fullmatch(text) is None or NUMBER.fullmatch(text.rpartition(".")[2]):
            raise wrong from None
    return Entry(name=text, port=number, is_plain=is_plain or text == LOCALHOST)


def _plain(host: str) -> str:
    """Return *host* in lower case; raises HostNotAllowed unless it is a name or an address in its usual spelling."""
    text = host.lower()
    if _address(text) is not None:
        return text
    if len(text) > 253 or NAME.fullmatch(text) is None or NUMBER.fullmatch(text.rpartition(".")[2]):
        raise HostNotAllowed("serverHost must be a plain host name or address.", "serverHost")
    return text


def _address(text: str) -> Address | None:
    """Read an address, strictly: four decimal numbers, or IPv6 without a zone."""
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def _scheme(entry: Entry, address: Address) -> str:
    return "http" if entry.is_plain or address.is_loopback else "https"


def _refusal() -> HostNotAllowed:
    detail = "Remote agents may not live at this host and port; AGENTCORE_BRIDGE_ALLOW says where they may."
    return HostNotAllowed(detail, "serverHost")
