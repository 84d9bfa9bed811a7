"""The library face: `Router` (async) and `SyncRouter`, its thin synchronous twin over the same engine.

    async with Router() as router:
        answer = await router.ask("Summarise this in one line: …")
        print(answer.text, answer.model, answer.cost_usd)

A question is written as the body of a chat completion and read by the same dialect as a client's of the gateway, so
both faces mean the same by the same words.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, TypeAlias, TypedDict, TypeVar, Unpack

import msgspec
from msgspec.structs import replace

from routewright.call import Call, Options, Priority
from routewright.dialects.fields import wrong
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.session import MAX_NAME_CHARS, hashed_session
from routewright.errors import CallerError, InvalidRequest
from routewright.jobs.answering import Asker, limits_of
from routewright.jobs.lines import Template
from routewright.jobs.listing import BatchItem, BatchResult, Listed, answered, prompt_of
from routewright.reply import Answer, Draft, Reply
from routewright.route import Route
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource

T = TypeVar("T")

Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]
"""What the user says; or a whole conversation, as messages in OpenAI's form."""


class Ask(TypedDict, total=False):
    """What may be said about a question, beside the prompt itself."""

    model: str
    """`auto` (the default), `auto:cheap`, `auto:best`, an alias, a model, or `provider/model`."""
    system: str
    tools: Sequence[Mapping[str, Any]]
    """In OpenAI's form."""
    tool_choice: str | Mapping[str, Any]
    response_format: Mapping[str, Any]
    """In OpenAI's form: `{"type": "json_schema", "json_schema": {…}}`."""
    max_tokens: int
    temperature: float
    stop: str | Sequence[str]
    reasoning_effort: str
    tier: str
    """Take this tier instead of classifying."""
    max_cost_usd: str | float
    min_quality: float
    """The least probability of a good answer that a model must have, from 0 to 1."""
    deadline_ms: int
    tags: Sequence[str]
    checks: Sequence[str | Mapping[str, Any]]
    """What the answer must pass: names of checks, or checks like `{"kind": "json_schema", "schema": {…}}`; what they
    found is in `answer.findings`."""
    agreement: str
    """In which form cheap answers may be compared, where the settings say so: `choice`, `number`, `text`, `json`, or
    `off`."""
    cache: str
    """`off`: neither take an answer from the response cache nor keep this one there."""
    user: str
    policy: str
    """The named policy to decide by, instead of the one that the roll-out gives."""
    session: str
    """Which conversation this belongs to, in up to 512 printable ASCII characters: the model that has its beginning in
    its cache costs less. Without it, conversations that begin with the same words are taken for one."""


_OPTIONS = (
    "tier",
    "max_cost_usd",
    "min_quality",
    "deadline_ms",
    "tags",
    "checks",
    "agreement",
    "cache",
    "user",
    "policy",
)
_DIALECT = OpenAIChat()


def read_question(prompt: Prompt, ask: Ask, *, request_id: str, stream: bool = False) -> Call:
    """The call that a prompt and what is said about it mean. Raises InvalidRequest."""
    said: dict[str, Any] = dict(ask)
    messages = _read_prompt(prompt)
    if "system" in said:
        messages.insert(0, {"role": "system", "content": said.pop("system")})
    session = _read_session(said.pop("session", None))
    options = {name: said.pop(name) for name in _OPTIONS if name in said}
    body = {"model": "auto", **said, "messages": messages, "stream": stream}
    if options:
        body["routewright"] = options
    call = _DIALECT.read(_written(body), request_id=request_id, options=Options())
    return replace(call, session=session) if session else call


def _read_prompt(prompt: object) -> list[Mapping[str, Any]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    if not isinstance(prompt, Iterable):
        raise InvalidRequest(f"a prompt is a text or a list of messages, not {type(prompt).__name__}")
    return [*prompt]


def _written(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:  # such as half of a surrogate pair
        raise InvalidRequest(f"this cannot be written as JSON: {error}") from error


def _read_session(name: object) -> str:
    session = hashed_session(name)
    if name is not None and not session:
        raise wrong("session", f"1 to {MAX_NAME_CHARS} printable ASCII characters", name)
    return session


class AnswerStream:
    """A streamed answer: iterate over its text; when it has ended, `answer` has the whole and what it took."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._draft = Draft()

    @property
    def route(self) -> Route:
        """The decision behind the answer."""
        return self._reply.route

    @property
    def model(self) -> str:
        """The model that is answering."""
        return self._reply.attempt.model.name

    @property
    def answer(self) -> Answer:
        """The answer as far as it came. Raises RuntimeError while the stream is still open."""
        if self._reply.receipt is None:
            raise RuntimeError("the stream is still open: read it to its end, or leave its `with` block, first")
        return self._draft.answer(self._reply)

    async def next(self) -> str | None:
        """The next piece of text; None at the end. Raises ProviderError when the answer breaks off."""
        while events := await self._reply.next():
            self._draft.hear(events)
            if text := "".join(event.text for event in events if not event.choice):
                return text
        return None

    async def __aiter__(self) -> AsyncIterator[str]:
        while (text := await self.next()) is not None:
            yield text

    def close(self) -> None:
        """Give up what is still to come."""
        self._reply.close()


class _Opening:
    """`async with router.stream(…) as stream`: asks when it is entered, and closes the reply when it is left."""

    def __init__(self, router: "Router", prompt: Prompt, ask: Ask) -> None:
        self._router = router
        self._prompt = prompt
        self._ask = ask

    async def __aenter__(self) -> AnswerStream:
        self._stream = AnswerStream(await self._router.reply(self._prompt, stream=True, **self._ask))
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()


class Router:
    """Routes prompts from Python, in one event loop.

    `config` names a settings file, by its path or https address; otherwise the usual places are read. `flags` are
    dotted settings above all others: `{"policy.confidence_threshold": 0.8}`. With `simulate`, the simulator answers for
    all models. Raises SettingsError.
    """

    def __init__(
        self,
        *,
        config: Path | str | None = None,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        simulate: bool = False,
    ) -> None:
        source = SettingsSource(
            environ=os.environ if environ is None else environ,
            cwd=Path.cwd(),
            config=config,
            flags=flags,
            simulate=simulate,
        )
        self._runtime = Runtime.open(source)

    async def ask(self, prompt: Prompt, **ask: Unpack[Ask]) -> Answer:
        """The whole answer. Raises RoutewrightError: CallerError, AllAttemptsFailed, DeadlineExceeded, …"""
        reply = await self._runtime.engine.ask(self._read(prompt, ask, stream=False))
        return await reply.read()

    def stream(self, prompt: Prompt, **ask: Unpack[Ask]) -> _Opening:
        """The answer as it comes: `async with router.stream("…") as stream: async for text in stream: …`."""
        return _Opening(self, prompt, ask)

    def route(self, prompt: Prompt, **ask: Unpack[Ask]) -> Route:
        """Only the decision; calls nobody and costs nothing. Raises CallerError."""
        return self._runtime.engine.route(self._read(prompt, ask, stream=False))

    def feedback(
        self, request_id: str, score: float, *, model: str = "", comment: str = "", correction: str = ""
    ) -> str:
        """Record how well an answer turned out, from 0 (useless) to 1, so that routing can learn; for `ask`'s answer,
        `router.feedback(answer.request_id, 1)`. True and False will do as well.

        `comment` says why (4,000 characters at most), `correction` what the answer should have been (65,536; refused
        unless `ledger.log_content` is on); `model` is whose answer it was, if not that of the model which answered.
        Returns the id of what was recorded; what is said later of the same answer counts instead. Of a request that
        there never was, it counts nowhere. Raises InvalidRequest, ModelNotFound, LedgerUnavailable.
        """
        return self._runtime.engine.observe(request_id, score, model=model, comment=comment, correction=correction)

    async def reply(self, prompt: Prompt, *, stream: bool, **ask: Unpack[Ask]) -> Reply:
        """The reply itself, event by event; whoever takes it must read it to its end or close it."""
        return await self._runtime.engine.ask(self._read(prompt, ask, stream=stream))

    async def batch(
        self,
        items: Iterable[BatchItem],
        *,
        template: str | None = None,
        concurrency: int | None = None,
        retries: int = 1,
        **ask: Unpack[Ask],
    ) -> AsyncGenerator[BatchResult]:
        """Ask for each item, and get results as they come: `async for result in router.batch(texts, template="…")`.

        An item is a prompt, or what the template's `{item}` stands for, or a mapping with its fields. A failure is the
        result of its item. `concurrency` is `policy.batch_concurrency` if not said, and that to begin with: it rises
        where a provider's headers invite to, up to `policy.batch_max_concurrency`. Live requests go first. For what
        must survive this process there is `routewright batch run`. Raises BadInput for a template that is none.
        """
        engine, name = self._runtime.engine, self._runtime.engine.mint_id()
        limits = limits_of(engine.settings.policy, concurrency=concurrency)
        listed = self._listed(items, None if template is None else Template(template), retries, name, ask)
        with engine.lanes.opened(name, limits.window) as lane:
            asking = answered(Asker(engine, self._runtime.clock, Random()), listed, lane)
            async with aclosing(asking):
                async for result in asking:
                    yield result

    async def batch_all(
        self,
        items: Iterable[BatchItem],
        *,
        template: str | None = None,
        concurrency: int | None = None,
        retries: int = 1,
        **ask: Unpack[Ask],
    ) -> list[BatchResult]:
        """The same, all of them in the order of the items."""
        asking = self.batch(items, template=template, concurrency=concurrency, retries=retries, **ask)
        return sorted([result async for result in asking], key=lambda result: result.index)

    def _listed(
        self, items: Iterable[BatchItem], template: Template | None, retries: int, lane: str, ask: Ask
    ) -> Iterator[Listed]:
        for index, item in enumerate(items):
            try:
                call = self._read(prompt_of(item, template), ask, stream=False)
            except CallerError as error:
                yield Listed(index, item, error)
            else:
                yield Listed(index, item, replace(call, priority=Priority.BATCH, lane=lane, max_retries=retries))

    async def close(self) -> None:
        """Write out what the ledger still has to write, and close connections and files."""
        await self._runtime.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _read(self, prompt: Prompt, ask: Ask, *, stream: bool) -> Call:
        request_id = self._runtime.engine.mint_id()
        return read_question(prompt, ask, request_id=request_id, stream=stream)


class SyncRouter:
    """`Router` for code without an event loop: runs one in a thread of its own. Safe to use from several threads."""

    def __init__(
        self,
        *,
        config: Path | str | None = None,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        simulate: bool = False,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._asking: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="routewright", daemon=True)
        self._thread.start()
        try:
            self._router = self._run(_make_router(config, flags, environ, simulate))
        except BaseException:
            self._stop()
            raise

    def ask(self, prompt: Prompt, **ask: Unpack[Ask]) -> Answer:
        """See `Router.ask`."""
        return self._run(self._router.ask(prompt, **ask))

    def route(self, prompt: Prompt, **ask: Unpack[Ask]) -> Route:
        """See `Router.route`."""
        return self._run(self._route(prompt, ask))

    def stream(self, prompt: Prompt, **ask: Unpack[Ask]) -> "SyncStream":
        """The answer as it comes: `with router.stream("…") as stream: for text in stream: …`."""
        return SyncStream(self._run, self._router.stream(prompt, **ask))

    def batch(
        self,
        items: Iterable[BatchItem],
        *,
        template: str | None = None,
        concurrency: int | None = None,
        retries: int = 1,
        **ask: Unpack[Ask],
    ) -> Iterator[BatchResult]:
        """See `Router.batch`; `items` are drawn in the thread of the event loop."""
        asking = self._router.batch(items, template=template, concurrency=concurrency, retries=retries, **ask)
        try:
            while (result := self._run(anext(asking, None))) is not None:
                yield result
        finally:
            self._run(asking.aclose())

    def batch_all(
        self,
        items: Iterable[BatchItem],
        *,
        template: str | None = None,
        concurrency: int | None = None,
        retries: int = 1,
        **ask: Unpack[Ask],
    ) -> list[BatchResult]:
        """See `Router.batch_all`."""
        asking = self._router.batch_all(items, template=template, concurrency=concurrency, retries=retries, **ask)
        return self._run(asking)

    def feedback(
        self, request_id: str, score: float, *, model: str = "", comment: str = "", correction: str = ""
    ) -> str:
        """See `Router.feedback`."""
        return self._run(self._feedback(request_id, score, model, comment, correction))

    def close(self) -> None:
        """See `Router.close`. What other threads still ask is given up, and ends there with a CancelledError."""
        if not self._thread.is_alive():  # it is closed; or this is a fork, and another process's to close
            return
        try:
            self._run(self._end())
        finally:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _route(self, prompt: Prompt, ask: Ask) -> Route:
        return self._router.route(prompt, **ask)

    async def _feedback(self, request_id: str, score: float, model: str, comment: str, correction: str) -> str:
        return self._router.feedback(request_id, score, model=model, comment=comment, correction=correction)

    async def _end(self) -> None:
        """What is given up is settled before the ledger is closed."""
        given_up = self._asking - {asyncio.current_task()}
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        await self._router.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """In the thread of the loop; who is interrupted meanwhile wants no more of it."""
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError(
                "this router is closed, or another process's, of which this one is a fork: make a new one"
            )
        asked = asyncio.run_coroutine_threadsafe(self._tracked(work), self._loop)
        try:
            return asked.result()
        except BaseException:
            asked.cancel()
            raise

    async def _tracked(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            return await work
        finally:
            self._asking.discard(task)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SyncStream:
    """A streamed answer for code without an event loop; see `AnswerStream`."""

    def __init__(self, run: Any, opening: _Opening) -> None:
        self._run = run
        self._opening = opening

    def __enter__(self) -> Self:
        self._stream: AnswerStream = self._run(self._opening.__aenter__())
        return self

    def __iter__(self) -> Iterator[str]:
        while (text := self._run(self._stream.next())) is not None:
            yield text

    @property
    def answer(self) -> Answer:
        """The answer as far as it came. Raises RuntimeError while the stream is still open."""
        return self._stream.answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._opening.__aexit__(kind, error, trace))


async def _make_router(
    config: Path | str | None, flags: Mapping[str, object] | None, environ: Mapping[str, str] | None, simulate: bool
) -> Router:
    return Router(config=config, flags=flags, environ=environ, simulate=simulate)
