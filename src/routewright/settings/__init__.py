"""Settings: what an operator can say, where, and what comes of it (docs/settings.md)."""

from routewright.settings.keys import KeyStore
from routewright.settings.load import Settings, load_settings
from routewright.settings.sources import FileStamp, Folders, Origin

__all__ = ["FileStamp", "Folders", "KeyStore", "Origin", "Settings", "load_settings"]
