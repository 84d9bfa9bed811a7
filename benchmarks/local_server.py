"""A real local server behind the gateway: `python benchmarks/local_server.py [FOLDER]`.

Makes a virtual environment in FOLDER (a new temporary one if not given; kept there, it is used again), installs
llama.cpp's server by pip, has `tiny_llama.py` write and serve a model with random weights, and starts the gateway in
front. Then the official OpenAI SDK asks, streamed and not, by name and by `auto`, and what the ledger has is held
against what the SDK was told. Prints a line for each check and ends in an error if one fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
from openai.types.chat import ChatCompletionMessageParam

PACKAGES = ("xllamacpp", "gguf", "numpy")
"""Wheels with all of it compiled; `llama-cpp-python` has none, and takes most of an hour of two cores."""
HERE = Path(__file__).parent
SERVING = re.compile(r"(?:^|serving on )(http://\S+)")
PATIENCE = 10
WINDOW = 512
MODEL = "tiny.gguf"
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]

Usage = tuple[int, int]


def prepared(folder: Path) -> Path:
    """The Python of an environment that has the server."""
    python = folder / "env/bin/python"
    if not python.exists():
        venv.create(folder / "env", with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


@contextmanager
def listening(command: list[str], folder: Path, **environ: str) -> Iterator[str]:
    """A server for the length of a block; yields the address that it prints."""
    place = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
    with (
        (folder / f"{Path(command[1]).stem}.log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=place, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            found = (SERVING.search(line) for line in process.stdout)
            yield next(match[1] for match in found if match)
        finally:
            process.terminate()


def asked(client: openai.OpenAI, model: str) -> tuple[str, Usage]:
    """The request's id and the usage of an answer that came at once."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HI, max_tokens=12)
    answer = raw.parse()
    assert answer.model == MODEL, answer
    assert answer.choices[0].message.content, answer
    assert answer.usage is not None
    return raw.headers["x-routewright-request-id"], (answer.usage.prompt_tokens, answer.usage.completion_tokens)


def asked_in_pieces(client: openai.OpenAI, model: str) -> tuple[str, Usage]:
    """The same of a stream."""
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=HI, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(raw.parse())
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 1, chunks
    usage = chunks[-1].usage
    assert usage is not None
    return raw.headers["x-routewright-request-id"], (usage.prompt_tokens, usage.completion_tokens)


def refused(call: Callable[[], object]) -> str:
    """What the SDK raises, in short."""
    try:
        call()
    except openai.APIStatusError as error:
        return f"{type(error).__name__} {error.code}: {error.body['message'] if isinstance(error.body, dict) else ''}"
    raise AssertionError("it was answered")


def row_of(folder: Path, environ: dict[str, str], request_id: str) -> dict[str, Any]:
    """What `routewright ledger show --json` has of how a request's only attempt ended."""
    command = [sys.executable, "-m", "routewright", "ledger", "show", request_id, "--json"]
    place = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
    for _ in range(PATIENCE):  # rows are written aside
        shown = subprocess.run(command, cwd=folder, env=place, capture_output=True, text=True, check=False)
        [attempt] = json.loads(shown.stdout)["attempts"] if shown.returncode == 0 else [{}]
        if attempt.get("close"):
            closed: dict[str, Any] = attempt["close"]
            return closed
        time.sleep(0.5)
    raise AssertionError(f"the ledger does not have {request_id}: {shown.stderr}")


def main(folder: Path) -> None:
    """All of it."""
    print(f"in {folder}: pip install {' '.join(PACKAGES)}")
    python = prepared(folder)
    server = [str(python), str(HERE / "tiny_llama.py"), MODEL]
    with listening(server, folder) as llama:
        print(f"llama.cpp serves on {llama}")
        environ = {
            "PYTHONPATH": str(HERE.parent / "src"),
            "ROUTEWRIGHT_PROVIDERS__LLAMACPP__BASE_URL": f"{llama}/v1",
        }
        gateway = ["/bin/sh", "-c", f"exec {sys.executable} -m routewright serve --port 0 2>&1"]
        with (
            listening(gateway, folder, **environ) as address,
            openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client,
        ):
            check(client, folder, environ)
    print("all as it should be")


def check(client: openai.OpenAI, folder: Path, environ: dict[str, str]) -> None:
    """Models, answers, refusals and rows."""
    print("models:", ", ".join(model.id for model in client.models.list()))
    for model in (MODEL, f"llamacpp/{MODEL}", "auto", "auto:best"):
        for way in (asked, asked_in_pieces):
            request_id, usage = way(client, model)
            attempt = row_of(folder, environ, request_id)
            assert attempt["outcome"] == "complete", attempt
            assert (attempt["usage"]["input"] + attempt["usage"]["cache_read"], attempt["usage"]["output"]) == usage
            assert (attempt["cost_nanousd"], attempt["is_estimated"]) == (0, False), attempt
            print(f"{model}, {way.__name__}: {usage[0]} tokens in, {usage[1]} out, as in the ledger, at no cost")
    create = client.chat.completions.create
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    print("a model that is not there:", refused(lambda: create(model="tiny", messages=HI)))
    print("too long:", refused(lambda: create(model=MODEL, messages=[{"role": "user", "content": "long " * WINDOW}])))
    print("tools:", refused(lambda: create(model=MODEL, messages=HI, tools=[tool])))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).absolute())
    else:
        with tempfile.TemporaryDirectory() as new:
            main(Path(new))
