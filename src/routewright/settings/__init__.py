"""Settings: what an operator can say, where, and what comes of it (docs/settings.md)."""

from routewright.settings.addresses import is_loopback
from routewright.settings.keys import KeyStore
from routewright.settings.load import Settings, check_binding, load_settings
from routewright.settings.schema import CacheSettings, ContextSettings
from routewright.settings.sources import FileStamp, Folders, Origin

__all__ = [
    "CacheSettings",
    "ContextSettings",
    "FileStamp",
    "Folders",
    "KeyStore",
    "Origin",
    "Settings",
    "check_binding",
    "is_loopback",
    "load_settings",
]
