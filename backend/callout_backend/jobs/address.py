"""Where we call on others' word: the address is resolved, checked and pinned, so that no name leads into the own network.

Every address a name resolves to must be public, and the connection is made to the very address that was checked: a name
server that answers differently a moment later (rebinding) changes nothing.
"""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from callout_store.outbox import Hopeless, Retry

NAT64 = ipaddress.ip_network("64:ff9b::/96")
RESOLVE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Pinned:
    """`url` with the checked address in the name's place; `host` is the name, for the Host header and for TLS."""

    url: str
    host: str
    host_header: str


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also where an IPv6 address only wraps an IPv4 one."""
    try:
        ip = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class PrivateAddress(Exception):
    """A name leads into a private network, where nothing of a tenant's choice is called."""

    def __init__(self) -> None:
        super().__init__("its address lies in a private network")


def checked_address(host: str, port: int, *, private_allowed: bool) -> str:
    """An address of `host` to connect to, when all of them are public. Blocking: for threads.

    Raises PrivateAddress, or OSError where the name cannot be resolved.
    """
    return _checked_addresses(host, port, private_allowed=private_allowed)[0]


def connection(host: str, port: int, *, timeout_s: float, private_allowed: bool) -> socket.socket:
    """A TCP connection to one of `host`'s addresses, checked as in `checked_address`. Blocking: for threads."""
    *others, last = _checked_addresses(host, port, private_allowed=private_allowed)
    for address in others:
        with contextlib.suppress(OSError):
            return socket.create_connection((address, port), timeout_s)
    return socket.create_connection((last, port), timeout_s)


def _checked_addresses(host: str, port: int, *, private_allowed: bool) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as fault:
        raise OSError("the name cannot be resolved") from fault
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not private_allowed and not all(is_public(address) for address in addresses):
        raise PrivateAddress
    return addresses


async def pin(url: str, *, private_allowed: bool) -> Pinned:
    """Check `url` and resolve it. Raises Hopeless where it may not be called, Retry where it cannot be resolved now.

    Without `private_allowed` only https to public addresses is let through.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise Hopeless("the webhook's URL cannot be read") from None
    if parts.scheme not in (("https", "http") if private_allowed else ("https",)) or not host:
        raise Hopeless("a webhook's URL begins with https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise Hopeless("a webhook's URL holds no user name or password")
    addresses = await _resolve(host, port or (443 if parts.scheme == "https" else 80))
    if not private_allowed and not all(is_public(address) for address in addresses):
        raise Hopeless("the webhook's host is at a private address")
    return _pinned(parts, host, port, addresses[0])


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise Retry("the webhook's host cannot be resolved") from None
    return [str(entry[4][0]) for entry in found]


def _pinned(parts: SplitResult, host: str, port: int | None, address: str) -> Pinned:
    suffix = "" if port is None else f":{port}"
    netloc = (f"[{address}]" if ":" in address else address) + suffix
    name = f"[{host}]" if ":" in host else host
    url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
    return Pinned(url=url, host=host, host_header=name + suffix)
