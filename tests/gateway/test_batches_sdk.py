"""Files and batches by the official `openai` SDK, unchanged, against a real gateway over a real socket."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai.types import Batch

from served import Served, serving

PATIENCE_S = 30


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("home"), "--simulate") as gateway:
        yield gateway


def client_of(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0)


def lines(count: int, *, words: str = "Hi") -> bytes:
    bodies = [
        {"model": "auto", "max_tokens": 5, "messages": [{"role": "user", "content": f"{words} {n}"}]}
        for n in range(count)
    ]
    requests = [
        {"custom_id": f"item {n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for n, body in enumerate(bodies)
    ]
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


def begin(client: openai.OpenAI, content: bytes) -> Batch:
    file = client.files.create(file=("night.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"night": "1"},
        output_expires_after={"anchor": "created_at", "seconds": 86_400},
    )


def wait(client: openai.OpenAI, batch: Batch, *statuses: str) -> Batch:
    patience = time.monotonic() + PATIENCE_S
    while batch.status not in statuses:
        assert time.monotonic() < patience, batch
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    return batch


def test_a_batch_from_its_file_to_its_answers(served: Served) -> None:
    with client_of(served) as client:
        batch = wait(client, begin(client, lines(8)), "completed")
        assert batch.request_counts is not None
        assert (batch.request_counts.total, batch.request_counts.completed) == (8, 8)
        assert batch.metadata == {"night": "1"}
        assert batch.output_file_id is not None
        content = client.files.content(batch.output_file_id)
        answers = [json.loads(line) for line in content.text.splitlines()]
        assert {answer["custom_id"] for answer in answers} == {f"item {n}" for n in range(8)}
        for answer in answers:
            completion = openai.types.chat.ChatCompletion.model_validate(answer["response"]["body"])
            assert completion.choices[0].message.content
            assert completion.usage is not None
        assert batch.id in [each.id for each in client.batches.list()]
        assert [each.id for each in client.files.list(purpose="batch_output")] == [batch.output_file_id]
        assert client.files.retrieve(batch.output_file_id).purpose == "batch_output"
        assert client.files.delete(batch.output_file_id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.content(batch.output_file_id)


def test_a_file_of_megabytes_is_the_same_when_it_is_read_again(served: Served) -> None:
    content = lines(40, words="word " * 20_000)
    assert len(content) > 4_000_000
    with client_of(served) as client:
        file = client.files.create(
            file=("a.jsonl", content), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert (file.bytes, file.expires_at) == (len(content), file.created_at + 3600)
        assert client.files.content(file.id).read() == content


def test_what_is_wrong_raises_what_the_sdk_knows(served: Served) -> None:
    with client_of(served) as client:
        with pytest.raises(openai.BadRequestError) as bad:
            client.files.create(file=b"{}", purpose="assistants")
        assert bad.value.param == "purpose"
        with pytest.raises(openai.NotFoundError):
            client.batches.retrieve("batch_0")
        batch = wait(client, begin(client, b'{"custom_id": "a"}\n'), "failed")
        assert batch.errors is not None
        assert batch.errors.data is not None
        assert {error.line for error in batch.errors.data} == {1}


def test_a_batch_is_cancelled_and_keeps_what_was_answered(served: Served) -> None:
    with client_of(served) as client:
        batch = wait(client, begin(client, lines(500)), "in_progress")
        assert client.batches.cancel(batch.id).status == "cancelling"
        batch = wait(client, batch, "cancelled")
        assert batch.request_counts is not None
        counted = batch.request_counts.completed
        assert counted < 500
        if counted:
            assert batch.output_file_id is not None
            assert len(client.files.content(batch.output_file_id).text.splitlines()) == counted
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)


def test_a_gateway_that_was_killed_goes_on_with_its_batches(tmp_path: Path) -> None:
    gateway = Served(tmp_path, "--simulate").start()
    with client_of(gateway) as client:
        batch = begin(client, lines(60))
        while (found := client.batches.retrieve(batch.id)).request_counts is None or not found.request_counts.completed:
            time.sleep(0.02)
        gateway.kill()
    with serving(tmp_path, "--simulate") as gateway, client_of(gateway) as client:
        batch = wait(client, batch, "completed")
        assert batch.request_counts is not None
        assert batch.request_counts.completed == 60
        assert batch.output_file_id is not None
        ids = [json.loads(line)["custom_id"] for line in client.files.content(batch.output_file_id).text.splitlines()]
        assert sorted(ids) == sorted(f"item {n}" for n in range(60))
