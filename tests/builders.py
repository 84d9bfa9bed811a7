"""Values that tests start from: each builder gives a plain, valid one, and takes what a test is about."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from routewright.call import Attempt, Call, Cause, Message, Role, Routed, Text
from routewright.catalog.pricing import Price, PriceSchedule
from routewright.catalog.registry import Deployment, Model, Registry, Tier, build_registry
from routewright.errors import RoutewrightError
from routewright.reply import Event, Reply, Taker
from routewright.route import Candidate, Route
from routewright.usage import Usage

DOLLAR_PRICES = PriceSchedule((Price(input=1_000_000, output=2_000_000),))
"""$1 per million tokens in, $2 out."""


def deployment(name: str = "acme/swift", **changes: Any) -> Deployment:
    """A deployment called `provider/model`, speaking OpenAI Chat."""
    provider, _, upstream_model = name.partition("/")
    plain = Deployment(
        id=name,
        provider=provider,
        dialect="openai_chat",
        base_url=f"https://{provider}.example/v1",
        upstream_model=upstream_model,
    )
    return replace(plain, **changes)


def model(name: str = "swift", *places: Deployment, **changes: Any) -> Model:
    """A standard model with one deployment, at $1/$2 per million tokens."""
    plain = Model(
        name=name,
        tier=Tier.STANDARD,
        context_window=100_000,
        max_output_tokens=4_000,
        prices=DOLLAR_PRICES,
        price_version="test",
        deployments=places or (deployment(f"acme/{name}"),),
    )
    return replace(plain, **changes)


def registry(*models: Model, **aliases: str) -> Registry:
    """A registry of these models."""
    return build_registry(models or (model(),), aliases)


def message(text: str, role: Role = "user") -> Message:
    """One turn of text."""
    return Message(role, (Text(text),))


def call(text: str = "Hello, who are you?", **changes: Any) -> Call:
    """A call of one user turn to `auto`, made through the library."""
    plain = Call(id="request-1", dialect="library", model="auto", messages=(message(text),), body={})
    return replace(plain, **changes)


def route(*models: Model, **changes: Any) -> Route:
    """A route over these models, in their order, all eligible."""
    candidates = tuple(
        Candidate(
            model=each.name,
            tier=each.tier,
            is_eligible=True,
            reason="test",
            expected_cost_nanousd=1_000,
            deployments=tuple(place.id for place in each.deployments),
        )
        for each in models or (model(),)
    )
    plain = Route(
        verdict=None,
        tier=Tier.STANDARD,
        reason="test",
        written=candidates,
        input_tokens=100,
        output_tokens=200,
        catalog="catalog",
        classifier=None,
        policy="test@1",
    )
    return replace(plain, **changes)


def attempt(asked: Call | None = None, at: Model | None = None, **changes: Any) -> Attempt:
    """A first attempt at a model's first deployment, with no other model to fall back to."""
    chosen = at or model()
    plain = Attempt(
        id="attempt-1",
        routed=Routed(asked or call(), route(chosen)),
        model=chosen,
        deployment=chosen.deployments[0],
        others=chosen.deployments[1:],
        number=1,
        cause=Cause.FIRST,
        is_last_model=True,
    )
    return replace(plain, **changes)


class ListSource:
    """A reply's `Source` that gives what it was told to, in its turn; an error in the list is raised."""

    def __init__(self, *turns: tuple[Event, ...] | RoutewrightError) -> None:
        self.turns = list(turns)
        self.was_aborted = False

    async def relay(self, take: Taker) -> bool:
        """The next turns."""
        while self.turns:
            turn = self.turns.pop(0)
            if isinstance(turn, RoutewrightError):
                raise turn
            if not take(turn):
                return False
        return True

    def abort(self) -> None:
        """Note it."""
        self.was_aborted = True


TEN_AND_TWENTY = Usage(input=10, output=20)


def reply(to: Attempt | None = None, *turns: tuple[Event, ...] | RoutewrightError) -> Reply:
    """A reply that said `Hello` and goes on with `turns`; without any, an end that reports 10 tokens in, 20 out."""
    rest = turns or ((Event(finish="stop", usage=TEN_AND_TWENTY),),)
    return Reply(to or attempt(), ListSource(*rest), (Event(text="Hello"),))


class Below:
    """The service below a layer under test: answers or fails by its script, and keeps what it was asked.

    Script entries are used in order, the last one for ever: an error is raised, None means a plain reply.
    """

    def __init__(self, *script: RoutewrightError | None, make: Callable[[Any], Awaitable[Reply]] | None = None) -> None:
        self.requests: list[Any] = []
        self.replies: list[Reply] = []
        self._script = list(script) or [None]
        self._make = make

    async def __call__(self, request: Any) -> Reply:
        """Answer by the script."""
        self.requests.append(request)
        outcome = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if outcome is not None:
            raise outcome
        answer = await self._make(request) if self._make else reply(_as_attempt(request))
        self.replies.append(answer)
        return answer


def _as_attempt(request: object) -> Attempt:
    if isinstance(request, Attempt):
        return request
    if isinstance(request, Routed):
        return attempt(request.call, routed=request)
    assert isinstance(request, Call)
    return attempt(request)
