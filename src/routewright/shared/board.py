"""What gateways of one installation write up for each other: one round trip tells and hears everything.

Nothing here must be kept. A Redis that comes back empty has forgotten who is there, who rests, and what was used of
a minute's worth; a round later the first two are known again.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict

from routewright.layers.hearsay import Finding, News
from routewright.layers.key_quota import MINUTE_S, Take

if TYPE_CHECKING:  # it needs the redis package, which is not always installed
    from routewright.shared.connection import Client, Connection

PREFIX = "routewright:"
ALIVE_S = 3.0
"""A gateway that was not heard of for so long is not counted."""
TURN_S = 1.0
"""A turn that is not renewed is over, should its holder have died."""


class Rumour(Struct, frozen=True):
    """What a gateway found at a circuit. Circuits have names that all gateways give them."""

    by: str
    circuit: str
    finding: Finding


class Told(Struct, frozen=True):
    """What one gateway says in a round."""

    takes: Sequence[Take] = ()
    findings: Sequence[tuple[str, Finding]] = ()
    """With the circuit's name."""
    probing: frozenset[str] = frozenset()
    """The circuits that it probes: these turns go on, its others are over."""


class Heard(Struct, frozen=True):
    """What it hears."""

    gateways: int
    """How many there are, itself included."""
    used: Sequence[float]
    """Of each bucket in `Told.takes`, by all."""
    rumours: Sequence[Rumour]
    """Of the others."""


class Board(Protocol):
    """The place. Both verbs take at most 50 ms, and raise RedisUnavailable."""

    async def exchange(self, told: Told) -> Heard:
        """Tell and hear."""
        ...

    async def take_turn(self, circuit: str) -> bool:
        """Whether no other gateway probes a circuit; then it is this one's turn, until a round says that it ended."""
        ...


_ROUND = """
local me, prefix, told = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6

redis.call('ZADD', prefix .. 'gateways', now, me)
redis.call('ZREMRANGEBYSCORE', prefix .. 'gateways', '-inf', now - told.alive_s)

local used = {}
for i, take in ipairs(told.takes) do
    local key = prefix .. 'used:' .. take.kind .. ':' .. take.key
    local was = redis.call('HMGET', key, 'used', 'at')
    local refilled = math.max(0, now - (tonumber(was[2]) or now)) * take.limit / told.minute_s
    local left = math.max(0, math.max(0, (tonumber(was[1]) or 0) - refilled) + take.amount)
    used[i] = string.format('%.6f', left)
    redis.call('HSET', key, 'used', used[i], 'at', string.format('%.6f', now))
    redis.call('EXPIRE', key, math.ceil((1 + left / take.limit) * told.minute_s))
end

for _, circuit in ipairs(told.turns_on) do
    if redis.call('GET', prefix .. 'turn:' .. circuit) == me then
        redis.call('PEXPIRE', prefix .. 'turn:' .. circuit, told.turn_ms)
    end
end
for _, circuit in ipairs(told.turns_over) do
    if redis.call('GET', prefix .. 'turn:' .. circuit) == me then redis.call('DEL', prefix .. 'turn:' .. circuit) end
end

for _, each in ipairs(told.findings) do
    each.by, each.ends_at = me, now + each.lasts_s
    redis.call('HSET', prefix .. 'findings', me .. ' ' .. each.news .. ' ' .. each.circuit, cjson.encode(each))
end
local findings, rows = {}, redis.call('HGETALL', prefix .. 'findings')
for i = 1, #rows, 2 do
    local each = cjson.decode(rows[i + 1])
    each.lasts_s = each.ends_at - now
    if each.lasts_s <= 0 then
        redis.call('HDEL', prefix .. 'findings', rows[i])
    elseif each.by ~= me then
        findings[#findings + 1] = cjson.encode(each)
    end
end
return {redis.call('ZCARD', prefix .. 'gateways'), used, findings}
"""
"""By the clock of Redis alone. Refilling is that of `key_quota.Bucket`."""


class _Row(Struct, frozen=True):
    """A finding as it stands in Redis: whoever writes there is believed as little as possible."""

    by: str
    circuit: str
    news: News
    number: int
    lasts_s: Annotated[float, Meta(ge=0, le=86_400)]
    why: Annotated[str, Meta(max_length=200, pattern="^[ -~]*$")]


class RedisBoard:
    """The place in Redis."""

    def __init__(self, connection: "Connection", me: str) -> None:
        """`me` is a name that no other process has."""
        self._connection = connection
        self._me = me
        self._turns: set[str] = set()

    async def exchange(self, told: Told) -> Heard:
        """See `Board.exchange`."""
        over = self._turns - told.probing
        written = msgspec.json.encode(
            {
                "alive_s": ALIVE_S,
                "minute_s": MINUTE_S,
                "turn_ms": round(TURN_S * 1000),
                "takes": told.takes,
                "turns_on": told.probing,
                "turns_over": over,
                "findings": [{"circuit": circuit, **asdict(finding)} for circuit, finding in told.findings],
            }
        )

        async def exchange(client: "Client") -> list[Any]:
            answer: list[Any] = await client.register_script(_ROUND)(args=[self._me, PREFIX, written])
            return answer

        gateways, used, rows = await self._connection.run(exchange)
        self._turns -= over
        return Heard(gateways, [float(each) for each in used], list(_rumours(rows)))

    async def take_turn(self, circuit: str) -> bool:
        """See `Board.take_turn`."""
        key = f"{PREFIX}turn:{circuit}"

        async def take(client: "Client") -> bool:
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.set(key, self._me, nx=True, px=round(TURN_S * 1000))
                pipeline.get(key)
                _, holder = await pipeline.execute()
                return bool(holder == self._me.encode())

        is_mine = await self._connection.run(take)
        if is_mine:
            self._turns.add(circuit)
        return is_mine


def _rumours(rows: Sequence[bytes]) -> Iterator[Rumour]:
    for row in rows:
        try:
            read = msgspec.json.decode(row, type=_Row)
        except msgspec.MsgspecError:  # of another version
            continue
        yield Rumour(read.by, read.circuit, Finding(read.news, read.number, read.lasts_s, read.why))
