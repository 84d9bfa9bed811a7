"""The pictures of README.md and docs/dashboard.md: of a simulated gateway that is asked this and that, by chromium.

    python benchmarks/screenshots.py [--into DIR]

It needs chromium and what requirements-dev.txt has; a picture over 150 kB is an error.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from browsing import ask, chromium, wait_until_recorded
from served import serving

MOST_BYTES = 150_000
WINDOW = {"width": 1360, "height": 1000}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PAGES = ("overview", "requests")
QUESTIONS = (
    "Translate to German: where is the station?",
    "Prove that every finite integral domain is a field.",
    "Extract all names: Ann met Bob in Oslo.",
    "Write a haiku about routers.",
    "Why does this loop never end? while x: x = x",
)


def fill(url: str) -> None:
    """Some questions in three sessions."""
    last = ""
    for number in range(40):
        headers = {"x-session-id": f"session-{number % 3}", "x-routewright-tags": ("web", "nightly")[number % 2]}
        model = "auto:best" if number % 9 == 0 else "auto"
        last = ask(url, QUESTIONS[number % len(QUESTIONS)], headers=headers, model=model, max_tokens=120)
    wait_until_recorded(url, last)


def main() -> int:
    """Exit code 1 when a picture is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path(__file__).parents[1] / "docs" / "images")
    into: Path = parser.parse_args().into
    into.mkdir(parents=True, exist_ok=True)
    largest = 0
    with tempfile.TemporaryDirectory() as home, serving(Path(home), "--simulate") as served, chromium() as browser:
        fill(served.url)
        for scheme in SCHEMES:
            page = browser.new_page(viewport=WINDOW, color_scheme=scheme)  # type: ignore[arg-type]
            for name in PAGES:
                page.goto(f"{served.url}/ui/{name}")
                time.sleep(0.5)  # charts are drawn
                path = into / f"{name}-{scheme}.png"
                page.screenshot(path=path)
                print(f"{path}: {path.stat().st_size:,} bytes")
                largest = max(largest, path.stat().st_size)
            page.close()
    return 1 if largest > MOST_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
