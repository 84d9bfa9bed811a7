"""LiteLLM's cache of answers, and the Redis of cache or router, which is one here."""

import re
from collections.abc import Mapping

from routewright.migration.draft import Draft, Fate
from routewright.migration.yaml_reading import Node
from routewright.settings.places import KeyPath

_STORES = {"local": "memory", "disk": "sqlite", "redis": "redis"}
_REDIS: KeyPath = ("redis", "url")
_PARTS = ("host", "port", "username", "password", "db", "ssl")
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_ONE_REDIS = "one Redis has all that gateways share"


def put_cache(library: Mapping[str, Node], draft: Draft) -> None:
    """`cache` and `cache_params`: whose answers are kept, where and for how long."""
    switch = library.get("cache")
    params = library["cache_params"].table if "cache_params" in library else {}
    if switch is None or switch.value is not True:
        return
    kind, mode = params.get("type"), params.get("mode")
    store = _STORES.get(kind.text or "") if kind else "redis"
    if store is None:
        draft.tell(switch, Fate.DROPPED, why="answers are kept in memory, in a file or in Redis")
    elif mode and mode.value == "default_off":
        draft.tell(switch, Fate.DROPPED, why="answers are kept by route or by key, not as each request asks")
    else:
        draft.put(("cache", "routes"), ["all"], switch)
        draft.put(("cache", "store"), store, kind or switch)
        if ttl := params.get("ttl"):
            draft.put(("cache", "ttl_s"), None if ttl.number is None else int(ttl.number), ttl)
        if store == "redis":
            put_redis(params, "", draft)
        if store == "redis" and _REDIS not in draft.settings:
            draft.add(_REDIS, "env:REDIS_URL", switch, "LiteLLM, too, takes it from the environment")
            draft.variables["REDIS_URL"] = _REDIS


def put_redis(table: Mapping[str, Node], prefix: str, draft: Draft) -> None:
    """One address: written out if it is a host and a port alone, else by reference."""
    parts = {name: table[prefix + name] for name in _PARTS if prefix + name in table}
    url, host, port = table.get(f"{prefix}url"), parts.get("host"), parts.get("port")
    told = [*parts.values(), *([url] if url else [])]
    if _REDIS in draft.settings:
        for node in told:
            draft.tell(node, Fate.DROPPED, why=_ONE_REDIS)
    elif url is not None:
        draft.put_reference(_REDIS, url, "REDIS_URL", why=_ONE_REDIS)
    elif host is not None and parts.keys() <= {"host", "port"} and _is_plain(host, port):
        for node in parts.values():
            draft.put(_REDIS, f"redis://{host.text}:{port.value if port else 6379}", node)
    elif host is not None:
        draft.refer(_REDIS, "REDIS_URL", host)
        for node in parts.values():
            draft.tell(node, Fate.CHANGED, to="redis.url", why="set REDIS_URL to redis://:PASSWORD@HOST:PORT")


def _is_plain(host: Node, port: Node | None) -> bool:
    return bool(_HOST.fullmatch(host.text or "")) and (port is None or type(port.value) is int)
