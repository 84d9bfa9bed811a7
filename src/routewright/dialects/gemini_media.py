"""Pictures and files as Gemini's parts: with their contents, or by an address that Google fetches.

Both need their kind to be said. A `data:` URL says it; of an `https:` address only the end of its path can, and one
that ends otherwise cannot be carried.
"""

import re
from urllib.parse import urlsplit

from routewright.call import JsonObject

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;charset=utf-8)?;base64", re.IGNORECASE)

_IMAGES = frozenset({"image/heic", "image/heif", "image/jpeg", "image/png", "image/webp"})
_PDF = "application/pdf"
_KINDS = {
    "csv": "text/csv",
    "heic": "image/heic",
    "heif": "image/heif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "pdf": _PDF,
    "png": "image/png",
    "txt": "text/plain",
    "webp": "image/webp",
    "xml": "text/xml",
}
"""Kinds that are fetched, by the end of a path."""


def _kind(url: str) -> str:
    """The media type of what is at a URL; empty when it does not say."""
    if url.startswith("https://"):
        try:
            path = urlsplit(url).path
        except ValueError:  # it is no address: a bracket is left open
            return ""
        return _KINDS.get(path.rpartition(".")[2].lower(), "")
    match = _DATA.fullmatch(url[: url.find(",")]) if "," in url else None
    kind = match[1].lower() if match else ""
    return "image/jpeg" if kind == "image/jpg" else kind


def is_image(url: str) -> bool:
    """Whether Gemini can be shown it."""
    return _kind(url) in _IMAGES


def is_document(url: str) -> bool:
    """Whether Gemini can be given it to read."""
    kind = _kind(url)
    return kind in (_PDF, "application/json") or kind.startswith("text/")


def write_file(url: str) -> JsonObject:
    """The part for what is at a URL: its contents, or its address."""
    if url.startswith("https://"):
        return {"fileData": {"mimeType": _kind(url), "fileUri": url}}
    return {"inlineData": {"mimeType": _kind(url), "data": url.partition(",")[2]}}
