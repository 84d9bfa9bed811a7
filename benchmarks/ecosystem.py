"""LangChain and pydantic-ai against a gateway: `python benchmarks/ecosystem.py [--environment FOLDER]`.

Makes an environment of its own with the integrations (kept if a folder is named), starts `routewright serve` with a
simulated provider of every dialect, and has each integration chat, stream, use tools and answer in a form.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from routewright.dialects.known import UPSTREAMS  # noqa: E402
from served import serving  # noqa: E402

PACKAGES = ("langchain-openai", "langchain-anthropic", "pydantic-ai-slim[openai,anthropic]")
TOLD = ("langchain-openai", "langchain-anthropic", "pydantic-ai-slim", "openai", "anthropic")
WORDS = ("chat", "stream", "tools", "structured")
DIALECTS = tuple(name for name in UPSTREAMS if name != "openai_embeddings")
_POLICY = """
[policy]
classifier = "heuristic"
drop_unsupported = ["parallel_tool_calls"]  # LangChain turns them off for a form by function; Gemini has no word for it
"""
SETTINGS = _POLICY + "".join(
    f"""
[providers.simulated-{name}]
base_url = "simulator:"
dialect = "{name}"
[models.{name}]
tier = "standard"
deployments = ["simulated-{name}/{name}"]
context_window = 100_000
max_output_tokens = 32_000
capabilities = ["tools", "json_schema", "vision", "reasoning"]
price = {{ input = "1", output = "2" }}
"""
    for name in DIALECTS
)


def prepared(folder: Path) -> Path:
    """The Python of an environment that has the integrations."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def versions(python: Path) -> str:
    """What was installed."""
    code = f"import importlib.metadata as m; print(', '.join(f'`{{n}}` {{m.version(n)}}' for n in {TOLD}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def play(python: Path) -> list[dict[str, dict[str, str]]]:
    """What became of each integration and model."""
    script = Path(__file__).with_name("ecosystem_plays.py")
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "routewright.toml").write_text(SETTINGS)
        with serving(Path(home)) as served:
            done = subprocess.run(
                [python, script, served.url, *DIALECTS], check=True, stdout=subprocess.PIPE, text=True
            )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    """Print the table, and what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, help="where to keep the environment")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        python = prepared(chosen.environment or Path(scratch) / "venv")
        print(versions(python), "\n")
        results = play(python)
    print(f"| integration | provider's dialect | {' | '.join(WORDS)} |\n|---|---|{'---|' * len(WORDS)}")
    for result in results:
        cells = " | ".join("✗" if failed else "✓" for failed in result["outcomes"].values())
        print(f"| {result['integration']} | `{result['model']}` | {cells} |")
    failures = [(result, *failed) for result in results for failed in result["outcomes"].items() if failed[1]]
    for result, name, said in failures:
        print(f"\n{result['integration']}, {result['model']}, {name}: {said}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
