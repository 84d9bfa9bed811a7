import os
import signal
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import routewright
from routewright import Router, RoutewrightError, SyncRouter
from routewright.catalog.registry import Tier
from routewright.client import read_question
from routewright.dialects.session import hashed_session
from routewright.errors import InvalidCheck, InvalidRequest, ModelNotFound

EXTRACT = "Extract invoice number, date and total from this mail as JSON: Invoice 4711 of 3 May, 120 EUR"


@pytest.fixture
def settings(tmp_path: Path) -> Mapping[str, Any]:
    """What makes a router with a ledger of its own, and nothing from the machine it runs on."""
    return {"environ": {"HOME": str(tmp_path)}, "simulate": True}


@pytest.fixture
def sync_router(settings: Mapping[str, Any]) -> Iterator[SyncRouter]:
    with SyncRouter(**settings) as router:
        yield router


async def test_an_answer_says_who_gave_it_and_what_it_took(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router:
        answer = await router.ask("Rename the variable foo to total: foo = 1", system="You are terse")
    assert answer.content
    assert (answer.model, answer.tier) == ("deepseek-v3", Tier.BULK)
    assert answer.confidence is not None
    assert answer.confidence >= 0.7
    assert answer.usage.output > 0
    assert answer.cost_usd > 0
    assert answer.attempts == 1
    assert answer.route.chosen.model == "deepseek-v3"


async def test_a_stream_gives_its_pieces_and_then_the_whole(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router, router.stream("Tell me a story") as stream:
        with pytest.raises(RuntimeError, match="still open"):
            _ = stream.answer
        text = "".join([piece async for piece in stream])
        assert stream.answer.text == text
        assert stream.model == stream.answer.model


async def test_a_stream_that_is_left_early_is_settled(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router:
        async with router.stream("Tell me a story") as stream:
            async for _ in stream:
                break
        assert stream.answer.receipt.is_estimated
        assert stream.answer.cost_usd > 0


async def test_deciding_calls_nobody_and_leaves_no_row(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router:
        assert router.route("Rename foo to bar in this file").tier is Tier.BULK
        await router.ask("Hello")
        await router._runtime.flush()
        assert router._runtime.store.totals().requests == 1


async def test_a_conversation_a_tier_and_a_model_can_be_named(settings: Mapping[str, Any]) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "?"},
    ]
    async with Router(**settings) as router:
        assert (await router.ask(turns, tier="complex")).model == "claude-opus-4.7"
        assert (await router.ask(turns, model="gpt-5.5")).model == "gpt-5.5"
        with pytest.raises(ModelNotFound):
            await router.ask(turns, model="nobody")
        with pytest.raises(InvalidRequest, match="temperature"):
            await router.ask(turns, temperature=9)


async def test_how_an_answer_turned_out_can_be_told(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router:
        answer = await router.ask("Say hello")
        first = router.feedback(answer.request_id, 0)
        second = router.feedback(answer.request_id, 0.75, model=answer.model)
        assert first != second
        await router._runtime.flush()
        told = router._runtime.store.outcomes(0)
        assert [(row.request_id, row.model, row.score) for row in told] == [
            (answer.request_id, answer.model, 0.0),
            (answer.request_id, answer.model, 0.75),
        ]
        with pytest.raises(InvalidRequest, match="score must be a number from 0 to 1, not 2"):
            router.feedback(answer.request_id, 2)


def test_the_synchronous_twin_does_the_same(sync_router: SyncRouter) -> None:
    assert sync_router.route(EXTRACT).tier is Tier.STRUCTURED
    answer = sync_router.ask("Say hello", tags=["team-a"])
    assert answer.content
    with sync_router.stream("Tell me a story") as stream:
        text = "".join(stream)
    assert stream.answer.text == text
    assert sync_router.feedback(answer.request_id, 1)
    with pytest.raises(InvalidRequest):
        sync_router.feedback("request-1", 1)
    with pytest.raises(RoutewrightError):
        sync_router.ask("Say hello", model="nobody")


def test_what_is_said_about_a_question_reaches_the_call() -> None:
    call = read_question("Hi", {"system": "Be brief", "max_tokens": 5, "tags": ["a"], "user": "u"}, request_id="r")
    assert [(message.role, message.text) for message in call.messages] == [("system", "Be brief"), ("user", "Hi")]
    assert call.max_output_tokens == 5
    assert call.options.tags == ("a",)
    assert "routewright" not in call.body


def test_the_public_names_are_there_and_no_others() -> None:
    for name in routewright.__all__:
        assert getattr(routewright, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = routewright.nothing_of_that_name


def test_a_question_may_name_its_conversation() -> None:
    assert read_question("Hi", {"session": "chat-7"}, request_id="request-1").session == hashed_session("chat-7")
    assert read_question("Hi", {}, request_id="request-1").session == ""


@pytest.mark.parametrize("name", ["", "x" * 513, "caf\u00e9"])
def test_a_conversation_has_a_name_that_can_be_kept(name: str) -> None:
    with pytest.raises(InvalidRequest, match="session must be 1 to 512 printable ASCII characters"):
        read_question("Hi", {"session": name}, request_id="request-1")


@pytest.mark.parametrize("prompt", ["half a \ud83d", None, 5, b"Hi", [{"role": "user", "content": object()}]])
async def test_what_cannot_be_asked_is_refused_and_of_a_batch_it_is_one_item(
    settings: Mapping[str, Any], prompt: Any
) -> None:
    with pytest.raises(InvalidRequest):
        read_question(prompt, {}, request_id="request-1")
    async with Router(**settings) as router:
        results = await router.batch_all(["Hi", prompt, "Hello"])
    assert [type(result.error) for result in results] == [type(None), InvalidRequest, type(None)]


async def test_what_checks_found_is_in_the_answer(settings: Mapping[str, Any]) -> None:
    checks: list[Any] = ["truncation", {"kind": "regex", "name": "no match", "pattern": "nobody says this"}]
    async with Router(**settings) as router:
        answer = await router.ask("Say hello", max_tokens=2_000, checks=checks, model="deepseek-v3")
    assert [(finding.check, finding.is_ok) for finding in answer.findings] == [
        ("truncation", True),
        ("no match", False),
    ]
    assert answer.findings[1].reason == "it does not match the pattern"
    assert {report.cause for report in answer.receipt.attempts} >= {"first", "reask"}


async def test_a_check_that_cannot_be_made_is_named(settings: Mapping[str, Any]) -> None:
    async with Router(**settings) as router:
        with pytest.raises(InvalidCheck, match=r"routewright.checks\[0\].pattern: the pattern '\(' cannot be taken"):
            await router.ask("Hi", checks=[{"kind": "regex", "pattern": "("}])


# ---- the synchronous twin's end ------------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A provider that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


@pytest.fixture
def waiting(settings: Mapping[str, Any], silent: socket.socket) -> Mapping[str, Any]:
    """What makes a router whose every answer is waited for."""
    flags = {
        "providers.silent.base_url": f"http://127.0.0.1:{silent.getsockname()[1]}/v1",
        "models.quiet.deployments": ["silent/quiet"],
        "models.quiet.tier": "bulk",
        "models.quiet.context_window": 1_000,
        "models.quiet.price": {"input": "1", "output": "2"},
    }
    return {**settings, "simulate": False, "flags": flags}


def asked_of(silent: socket.socket) -> socket.socket:
    """The connection by which a question came."""
    connection, _ = silent.accept()
    connection.settimeout(10)
    assert connection.recv(65_536).startswith(b"POST /v1/chat/completions")
    return connection


def test_who_is_interrupted_asks_no_longer(
    waiting: Mapping[str, Any], silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[socket.socket] = []

    def interrupted(_: object, timeout: float | None = None) -> None:
        asked.append(asked_of(silent))
        raise KeyboardInterrupt

    with SyncRouter(**waiting) as router:
        with monkeypatch.context() as patch:
            patch.setattr(Future, "result", interrupted)
            with pytest.raises(KeyboardInterrupt):
                router.ask("Say hello", model="quiet")
        with asked[0] as connection:
            assert connection.recv(1) == b"", "the provider is left"


def test_what_is_asked_while_a_router_is_closed_is_given_up_and_settled(
    waiting: Mapping[str, Any], silent: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    router = SyncRouter(**waiting)
    with ThreadPoolExecutor() as threads:
        asking = threads.submit(router.ask, "Say hello", model="quiet")
        with asked_of(silent):
            router.close()
            with pytest.raises(CancelledError):
                asking.result(10)
    SyncRouter(**waiting).close()
    assert not [record for record in caplog.messages if "settled" in record], "no hold was left open"


def test_a_closed_router_says_so_and_may_be_closed_again(settings: Mapping[str, Any]) -> None:
    router = SyncRouter(**settings)
    router.close()
    router.close()
    with pytest.raises(RuntimeError, match="closed"):
        router.ask("Say hello")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_in_a_fork_a_router_refuses_instead_of_waiting_for_ever(sync_router: SyncRouter) -> None:
    child = os.fork()
    if not child:
        signal.alarm(30)
        try:
            with sync_router:
                sync_router.ask("Say hello")
        except RuntimeError as error:
            os._exit(0 if "fork" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sync_router.ask("Say hello").content
