"""What `make run` says about the network: who can reach this server, and what to set so that others can."""

import ipaddress
import socket
from contextlib import closing
from urllib.parse import urlsplit

from django.conf import settings

from todo_mcp.configuration.distribution import IS_CHECKOUT

ELSEWHERE = "198.51.100.1"  # only documents have this address (RFC 5737, section 3); nothing is sent to it
ON_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 (what the person at this machine has to type)
DEFAULT_PORT = 5000
ONLY_THIS_MACHINE = "Only this machine can connect. docs/home.md says what is open after this:"
REFUSED = "Other machines get the answer 421, unless this is set. docs/home.md says what is open then:"
IN_CLEAR = "Everybody in your network can try this server, and http shows them passwords and tokens: docs/home.md."


def notice(host: str) -> str:
    """What the host to listen on and ``PUBLIC_URL`` mean together, with a line to paste; "" if all is as usual."""
    url = settings.PUBLIC_URL
    is_named = not _is_loopback(urlsplit(url).hostname or "")
    if url.startswith("https:") or (_is_loopback(host) and not is_named):  # the former has a proxy
        return ""
    if is_named:
        return f"\n{ONLY_THIS_MACHINE}\n{_line(url)}" if _is_loopback(host) else f"\n{IN_CLEAR}\n"
    if not all(map(_is_loopback, settings.ALLOWED_HOSTS)):
        return f"\n{IN_CLEAR}\n"
    return f"\n{REFUSED}\n{_line(f'http://{_own_name()}:{settings.MCP_SERVER_PORT}')}"


def _line(url: str) -> str:
    if not IS_CHECKOUT:  # perhaps a container, which is started from outside
        return f"  PUBLIC_URL={url}\n"
    port = settings.MCP_SERVER_PORT
    own_port = "" if port == DEFAULT_PORT else f"MCP_SERVER_PORT={port} "
    return f'  {own_port}PUBLIC_URL={url} make run ARGS="--host {ON_EVERY_ADDRESS}"\n'


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _own_name() -> str:
    """This machine's IPv4 address on its default route. To find it, a socket is connected, but sends nothing.

    A wheel may run in a container, whose own address is not the one that others use.
    """
    if not IS_CHECKOUT:
        return "ADDRESS-OF-THIS-MACHINE"
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((ELSEWHERE, 9))
        except OSError:  # no route, as without a network
            return socket.gethostname()
        return str(probe.getsockname()[0])
