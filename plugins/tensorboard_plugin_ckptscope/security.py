"""Who may ask, and for what.

TensorBoard checks neither method nor Host. A page elsewhere could thus be rebound to this address
(DNS rebinding) and read what the tab shows; and every method would reach a handler."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

# TensorBoard's Respond adds nosniff.
HEADERS = [
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'"),
]
METHODS = ("GET", "HEAD")
# What a Host header never has, and what parsers of addresses disagree about.
_FOREIGN = frozenset("@/\\?# \t%")


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """Name or address of a Host header, without the port; empty for what is none."""
    if set(header) & _FOREIGN:
        return ""
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


class Guard:
    """Refuses what this TensorBoard was not started for.

    Args:
        flags: TensorBoard's; None is taken for one that is bound to localhost.
    """

    def __init__(self, flags: Any) -> None:
        host = str(getattr(flags, "host", None) or "localhost")
        self._is_local = is_loopback(host.lower()) and not getattr(flags, "bind_all", False)
        names = str(getattr(flags, "ckptscope_allowed_hosts", "") or "").split(",")
        self._allowed = {host_of(name.strip()) for name in names if name.strip()}

    def refusal(self, request: Request) -> tuple[int, str, str | None] | None:
        """(status, message, hint) of a request that is not served."""
        if request.method not in METHODS:
            return 405, f"{request.method} is not served", "this tab only reads: use GET"
        host = host_of(request.headers.get("Host", ""))
        if self._is_local and not is_loopback(host) and host not in self._allowed:
            hint = (
                f"start TensorBoard with --ckptscope_allowed_hosts={host} if that is a proxy "
                "of yours"
            )
            return (
                403,
                "this TensorBoard serves localhost only, and was asked under another name",
                hint,
            )
        return None
