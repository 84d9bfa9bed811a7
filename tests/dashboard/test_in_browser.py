"""The dashboard as people meet it: in a real browser, with and without script, by mouse and by keyboard."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import ask, axe_violations, chromium, needs_browser, tab, wait_until_recorded
from served import serving

pytestmark = needs_browser
HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}"
PAGES = ("overview", "requests", "sessions")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that answered some questions, one of them hostile."""
    with serving(tmp_path_factory.mktemp("home"), "--simulate") as served:
        run = {"x-session-id": "a run"}
        for text in ("one", "two", "three"):
            ask(served.url, text, headers=run)
        ask(served.url, "best", model="auto:best")
        tags = {"x-routewright-tags": HOSTILE.replace(",", ""), "x-routewright-user": "a user"}
        last = ask(served.url, HOSTILE, headers=tags)
        wait_until_recorded(served.url, last)
        yield served.url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with tab(browser) as opened:
        yield opened


def test_a_first_visit_finds_something_to_copy_and_then_sees_requests_come(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, "--simulate") as served, tab(browser) as page:
        page.goto(f"{served.url}/ui")
        expect(page.get_by_role("heading", name="Nothing was asked yet")).to_be_visible()
        expect(page.locator("pre").first).to_contain_text(f"curl {served.url}/v1/chat/completions")
        page.get_by_role("link", name="Requests").click()
        with page.expect_response(re.compile("/ui/requests/tail")):
            page.get_by_role("button", name="Follow").click()
        first = ask(served.url, "live")
        row = page.locator("#table-requests tbody tr")
        expect(row).to_have_count(1)
        expect(row).to_contain_text(first)
        page.get_by_role("button", name="Pause").click()
        wait_until_recorded(served.url, ask(served.url, "unseen"))
        expect(row).to_have_count(1)


def test_a_filter_is_in_the_address_and_a_reload_shows_the_same(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/requests")
    expect(page.locator("#table-requests tbody tr")).to_have_count(5)
    page.get_by_label("tier", exact=True).fill("complex")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#table-requests tbody tr")).to_have_count(1)
    assert re.search(r"/ui/requests\?tier=complex(&since=[\d-]+)?$", page.url)
    shown = page.locator("#table-requests").inner_text()
    page.reload()
    assert page.locator("#table-requests").inner_text() == shown
    assert page.get_by_label("tier", exact=True).input_value() == "complex"
    page.go_back()
    expect(page.locator("#table-requests tbody tr")).to_have_count(5)


def test_a_row_opens_its_sheet_and_an_opinion_is_recorded(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/requests")
    page.locator("#table-requests tbody a").last.click()
    expect(page.get_by_role("heading", name="Decision")).to_be_visible()
    for table in ("decision", "attempts", "tokens"):
        expect(page.locator(f"#table-{table} tbody tr").first).to_be_visible()
    page.get_by_label("replay under another policy").select_option("default")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#table-replay tbody tr").first).to_be_visible()
    page.get_by_role("button", name="Good answer").click()
    expect(page.locator("main h1")).to_have_text("Request")
    for _ in range(50):  # until it has reached the store
        page.reload()
        if "feedback" in page.locator(".facts").inner_text():
            return
        page.wait_for_timeout(100)
    pytest.fail("the opinion is not shown")


def test_x11_what_is_hostile_is_shown_as_text(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/requests")
    page.locator("#table-requests tbody a").first.click()
    expect(page.locator(".facts")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#curl")).to_contain_text("<script>alert(2)</script>{{7*7}}")
    assert page.locator("main img, main script").count() == 0


def test_all_of_it_can_be_read_without_script(browser: Browser, url: str) -> None:
    with tab(browser, java_script_enabled=False) as page:
        page.goto(f"{url}/ui")
        assert page.locator("figure svg").first.is_visible()
        page.locator("details summary").first.click()
        assert page.locator("#table-spend tbody tr").last.is_visible()
        assert not page.get_by_role("button", name="Light or dark").is_visible()
        page.get_by_role("link", name="Requests").click()
        page.get_by_label("outcome").fill("complete")
        page.get_by_role("button", name="Show").click()
        assert page.locator("#table-requests tbody tr").count() == 5
        page.locator("#table-requests tbody a").first.click()
        assert page.get_by_role("heading", name="Tokens and prices").is_visible()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_narrow_screen_is_never_scrolled_sideways(browser: Browser, url: str, has_script: bool) -> None:
    with tab(browser, java_script_enabled=has_script, bypass_csp=True) as page:
        page.set_viewport_size({"width": 380, "height": 800})
        for name in (*PAGES, "requests?model=none"):
            page.goto(f"{url}/ui/{name}")
            assert page.evaluate("document.scrollingElement.scrollWidth") == 380, name
            assert not has_script or axe_violations(page) == []


def test_the_keyboard_is_enough(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/requests")
    page.keyboard.press("/")
    expect(page.get_by_label("model", exact=True)).to_be_focused()
    page.keyboard.type("jk?")
    expect(page.get_by_label("model", exact=True)).to_have_value("jk?")
    page.get_by_label("model", exact=True).fill("")
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Requests", exact=True).first.click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    for key, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(page.locator("main tr.current")).to_have_count(1)
        expect(page.locator("#table-requests tbody tr").nth(at)).to_have_class("current")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Decision")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_light_or_dark_and_good_to_read(browser: Browser, url: str, scheme: str) -> None:
    with tab(browser, color_scheme=scheme, bypass_csp=True) as page:
        for name in PAGES:
            page.goto(f"{url}/ui/{name}")
            assert axe_violations(page) == []
        page.locator("#table-sessions tbody a").first.click()
        expect(page.get_by_role("heading", name="Session", exact=True)).to_be_visible()
        assert axe_violations(page) == []
        page.locator("#table-requests tbody a").first.click()
        expect(page.get_by_role("heading", name="Decision")).to_be_visible()
        assert axe_violations(page) == []
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Light or dark").click()
        after = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert before != after
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == after


def test_a_key_is_exchanged_for_a_session_and_given_up(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text('[server]\napi_key = "env:DOOR"\n')
    with serving(tmp_path, "--simulate", environ={"DOOR": "the-operators-own-key"}) as served, tab(browser) as page:
        page.goto(f"{served.url}/ui/requests?tier=bulk")
        page.get_by_role("link", name="Sign in").click()
        page.get_by_label(re.compile("A key with")).fill("the-operators-own-key")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out operator").click()
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        assert page.context.cookies() == []


def test_charts_follow_the_pointer(page: Page, url: str) -> None:
    page.goto(f"{url}/ui/overview")
    plot = page.locator("figure[data-chart=spend] .uplot")
    expect(plot).to_be_visible()
    box = plot.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 20)
    expect(plot.locator(".u-legend")).to_contain_text("$0.00")
