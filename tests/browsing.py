"""A real browser before a real gateway."""

import json
import os
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("ROUTEWRIGHT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")
_OURS = re.compile(r"http://127\.0\.0\.1:\d+/")
_AXE = Path(__file__).parent / "dashboard" / "axe.min.js"
SCREENSHOTS = Path(__file__).parents[1] / "build" / "screenshots"
"""What each test left on the screen, by its name: for people, and kept by CI."""
PATIENCE_S = 10


@contextmanager
def chromium() -> Iterator[Browser]:
    """One for many tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a profile of its own. What it complains of (errors, its policy), and what it would load from elsewhere,
    fails the test. What is seen at the end, well or not, is kept among the screenshots."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"asks {dialog.message}"))
    page.on("request", lambda sent: None if _OURS.match(sent.url) else complaints.append(f"loads {sent.url}"))
    page.set_default_timeout(PATIENCE_S * 1000)
    try:
        yield page
    finally:
        page.screenshot(path=_picture())
        context.close()
    assert not complaints


def _picture() -> Path:
    """That of the test that runs: of several pages, the last one."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition("/")[2].partition(" ")[0]
    name = re.sub(r"[^\w.-]+", "-", test.replace(".py::", ".")).strip("-")[:150]
    return SCREENSHOTS / f"{name}.png"


def ask(url: str, text: str, *, headers: Mapping[str, str] | None = None, **fields: object) -> str:
    """A chat completion; the id by which the ledger knows it."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 20, **fields}
    sent = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), sent)  # noqa: S310 ours
    with urllib.request.urlopen(request) as answer:  # noqa: S310 ours
        found: str = answer.headers["x-routewright-request-id"]
    return found


def wait_until_recorded(url: str, request_id: str) -> None:
    """Until the ledger's store has a request."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        with urllib.request.urlopen(f"{url}/ui/requests.json?table=requests&min_ms=0") as answer:  # noqa: S310 ours
            rows = json.load(answer)["tables"]["requests"]
        if any(row["request_id"] == request_id for row in rows):
            return
        time.sleep(0.1)
    raise AssertionError(f"{request_id} did not arrive")


def axe_violations(page: Page) -> list[str]:
    """What axe-core finds serious or worse."""
    page.evaluate(_AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:160]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
