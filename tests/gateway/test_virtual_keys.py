"""The official `openai` SDK with a virtual key, against a real gateway in a process of its own."""

import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from routewright.access.description import read_wish
from routewright.access.installation import Installation
from routewright.access.keyring import Keyring
from routewright.clock import SystemClock
from routewright.ledger.sqlite import SqliteDatabase
from served import Served, serving

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Keyring]]:
    home: Path = tmp_path_factory.mktemp("home")
    with serving(home, "--simulate") as served:
        database = SqliteDatabase(served.ledger)
        yield served, Keyring(database, Installation(None, served.ledger.parent), SystemClock())
        database.close()


def soon(served: Served, key: str, *, is_taken: bool) -> None:
    """Wait until the gateway takes a key, or does not any more: a second by promise, two on a busy machine."""
    patience = time.monotonic() + 2
    with client_of(served, key) as client:
        while True:
            try:
                client.models.list()
                found = True
            except openai.PermissionDeniedError:
                found = True
            except openai.AuthenticationError:
                found = False
            if found is is_taken:
                return
            assert time.monotonic() < patience


def client_of(served: Served, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0)


def test_a_key_made_while_it_runs_is_taken_and_refused_again_within_a_second(gateway: tuple[Served, Keyring]) -> None:
    served, keyring = gateway
    issued = keyring.create(read_wish({"name": "app", "models": ["auto", "gpt-5.5"], "requests_per_minute": 100}))
    soon(served, "none", is_taken=False)  # the first key closes the door to everybody else
    soon(served, issued.text.reveal(), is_taken=True)
    with client_of(served, issued.text.reveal()) as client:
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=HELLO)
        assert raw.parse().choices[0].message.content
        assert raw.headers["x-ratelimit-limit-requests"] == "100"
        chunks = list(client.chat.completions.create(model="gpt-5.5", messages=HELLO, stream=True))
        assert chunks
        assert {model.id for model in client.models.list()} >= {"auto", "gpt-5.5"}
        assert "claude-opus-4.7" not in {model.id for model in client.models.list()}
        with pytest.raises(openai.NotFoundError) as hidden:
            client.chat.completions.create(model="claude-opus-4.7", messages=HELLO)
        assert hidden.value.code == "model_not_found"
        keyring.revoke(issued.key.id)
        soon(served, issued.text.reveal(), is_taken=False)
        with pytest.raises(openai.AuthenticationError) as refused:
            client.chat.completions.create(model="auto", messages=HELLO)
        assert refused.value.code == "invalid_api_key"


def test_a_wrong_role_is_the_sdks_permission_error_and_a_limit_its_rate_limit(gateway: tuple[Served, Keyring]) -> None:
    served, keyring = gateway
    reader = keyring.create(read_wish({"name": "dashboard", "roles": ["read"]})).text.reveal()
    slow = keyring.create(read_wish({"name": "slow", "requests_per_minute": 1})).text.reveal()
    soon(served, "none", is_taken=False)
    soon(served, reader, is_taken=True)
    soon(served, slow, is_taken=True)
    with client_of(served, reader) as client, pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="auto", messages=HELLO)
    with client_of(served, slow) as client:
        client.chat.completions.create(model="auto", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as limited:
            client.chat.completions.create(model="auto", messages=HELLO)
        assert 50_000 < int(limited.value.response.headers["retry-after-ms"]) <= 60_000
