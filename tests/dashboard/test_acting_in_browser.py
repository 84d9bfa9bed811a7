"""What is done at the dashboard, in a real browser: keys, the playground, and every page good to read."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import ask, axe_violations, chromium, needs_browser, tab
from served import serving

pytestmark = needs_browser
OPERATOR_KEY = "the-operators-own-key"
HOSTILE = "</textarea><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}"
PAGES = ("quality", "drift", "shadows", "backtests", "policies", "models", "budgets", "keys", "batches", "playground")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway with an operator's key."""
    environ = {"ROUTEWRIGHT_SERVER__API_KEY": "env:DOOR", "DOOR": OPERATOR_KEY}
    with serving(tmp_path_factory.mktemp("home"), "--simulate", environ=environ) as served:
        yield served.url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """Of whoever is signed in with it."""
    with tab(browser) as opened:
        sign_in(opened, url)
        yield opened


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/login")
    page.get_by_label(re.compile("A key with the role")).fill(OPERATOR_KEY)
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out operator")).to_be_visible()


def test_a_key_is_made_used_and_revoked(page: Page, url: str) -> None:
    page.get_by_role("link", name="Keys").click()
    form = page.locator("form", has=page.get_by_role("button", name="Create"))
    form.get_by_label("Name").fill("browser's app")
    form.get_by_label("Budget, USD").fill("1.50")
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("status")).to_contain_text("shown this once")
    secret = page.locator("#secret").inner_text()
    key = {"authorization": f"Bearer {secret}"}
    assert ask(url, "hello", headers=key)
    page.get_by_role("link", name="Go on to the key").click()
    expect(page.locator("#table-budgets")).to_contain_text("$1.50")
    assert secret not in page.content()
    page.get_by_text("Revoke…").click()
    page.get_by_role("button", name="Revoke browser's app").click()
    expect(page.locator("#table-keys")).to_contain_text("revoked")
    with pytest.raises(OSError, match="401"):
        ask(url, "hello", headers=key)


def test_two_models_play_and_what_is_hostile_is_text(page: Page, url: str) -> None:
    page.get_by_role("link", name="Playground").click()
    page.get_by_label("Question").fill(HOSTILE)
    page.get_by_label("Right").select_option("auto:best")
    page.get_by_label("Longest answer").fill("20")
    page.get_by_role("button", name="What would it cost?").click()
    expect(page.locator(".side")).to_have_count(2)
    expect(page.locator(".side").first).to_contain_text("Before:")
    expect(page.locator(".side").first).not_to_contain_text("After:")
    page.get_by_role("button", name="Ask", exact=True).click()
    for side in page.locator(".side").all():
        expect(side).to_contain_text("After:")
        expect(side.locator("pre")).to_contain_text("simulated")
    assert page.get_by_label("Question").input_value() == HOSTILE
    assert page.locator("main img, main script").count() == 0


def test_all_of_it_works_without_script(browser: Browser, url: str) -> None:
    with tab(browser, java_script_enabled=False) as page:
        sign_in(page, url)
        page.get_by_role("link", name="Models").click()
        page.get_by_label("Tier").select_option("complex")
        page.get_by_role("button", name="Show").click()
        assert page.url.partition("?")[2] == "name=&tier=complex&provider="
        assert page.locator("#table-models tbody tr").count() == 1
        page.get_by_role("link", name="Playground").click()
        page.get_by_label("Question").fill("hello")
        page.get_by_role("button", name="What would it cost?").click()
        assert page.get_by_role("heading", name="What auto would do").is_visible()


@pytest.mark.parametrize(("scheme", "names"), [("light", PAGES), ("dark", ("policies", "keys", "playground"))])
def test_pages_are_good_to_read(browser: Browser, url: str, scheme: Any, names: tuple[str, ...]) -> None:
    with tab(browser, color_scheme=scheme, bypass_csp=True) as page:
        sign_in(page, url)
        for name in names:
            page.goto(f"{url}/ui/{name}")
            expect(page.locator("main h1, main h2").first).to_be_visible()
            assert axe_violations(page) == [], name


def test_a_row_is_reached_by_the_keyboard(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/models")
    page.keyboard.press("/")
    expect(page.get_by_label("Name has")).to_be_focused()
    page.keyboard.type("opus")
    page.keyboard.press("Enter")
    expect(page.locator("#table-models tbody tr")).to_have_count(1)
    assert page.url.endswith("/ui/models?name=opus")
