"""How much one client may ask for."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from kdphys.serve.problems import Refused

#: Clients that are remembered; those not heard of for longest are forgotten first.
_CLIENTS = 10_000


def client_of(scope: Any) -> str:
    """The client of a request: its address; of IPv6 its network of 64 bits, which one client has for itself."""
    host = (scope.get("client") or ("unknown",))[0]
    try:
        address = ip_address(host)
    except ValueError:
        return str(host)[:64]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))
    return str(address)


class Rate:
    """A bucket of tokens for each client.

    Args:
        per_min: refilled a minute; 0 does not limit.
        burst: at most in a bucket.
    """

    def __init__(self, per_min: float, burst: float) -> None:
        self.per_s, self.burst = per_min / 60, max(burst, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one; 0 when there was one, else the seconds until there is one."""
        if self.per_s <= 0:
            return 0.0
        now = time.monotonic()
        level, then = self._buckets.pop(client, (self.burst, now))
        level = min(level + (now - then) * self.per_s, self.burst)
        wait = 0.0 if level >= 1 else (1 - level) / self.per_s
        self._buckets[client] = (level - 1 if wait == 0 else level, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return wait


class Seats:
    """Things that go on at the same time, in all and for one client.

    Args:
        total: at most, of all clients.
        each: at most, of one client.
        what: what they are, for messages.
    """

    def __init__(self, total: int, each: int, what: str) -> None:
        self.total, self.each, self.what = total, each, what
        self._taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._taken.total()

    @contextmanager
    def seat(self, client: str) -> Iterator[None]:
        """Hold a seat.

        Raises:
            Refused: 429 when this client has too many, 503 when there are too many in all.
        """
        if self._taken[client] >= self.each:
            raise Refused(
                429, f"too_many_{self.what}", f"at most {self.each} {self.what} of one client at the same time", 5
            )
        if len(self) >= self.total:
            raise Refused(503, f"no_more_{self.what}", f"all {self.total} {self.what} are taken; try again later", 5)
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]
