"""The gateway with less, and with more, of what it does, in one run: what each part of it costs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from routewright.bench.plan import Plan
from routewright.bench.processes import Child, running
from routewright.bench.proxies import PROMPT_CHARS, cpu, in_turn, whole
from routewright.bench.report import Figure, figure
from routewright.bench.settings import MODELS, write_settings

_SERVE = ("-m", "routewright", "serve", "--port", "0")
_HARD_BUDGETS = """
[budgets.all]
scope = "total"
limit_usd = 1_000_000

[budgets.keys]
scope = "key"
limit_usd = 1_000_000

[budgets.teams]
scope = "team"
limit_usd = 1_000_000
"""


class Configuration(Struct, frozen=True, kw_only=True):
    """A gateway that is not the usual one."""

    name: str
    what: str
    settings: str = ""
    arguments: tuple[str, ...] = _SERVE


CONFIGURATIONS = (
    Configuration(name="usual", what="as it is: learned decision, ledger, the soft budget of the cost alert"),
    Configuration(name="budgets", what="and three hard budgets", settings=_HARD_BUDGETS),
    Configuration(
        name="unledgered",
        what="without the ledger, which no user can have",
        arguments=("-m", "routewright.bench.unledgered", "serve", "--port", "0"),
    ),
    Configuration(
        name="heuristic", what="with the heuristic decision", settings='\n[policy]\nclassifier = "heuristic"\n'
    ),
    Configuration(
        name="bare",
        what="with the heuristic decision, without the ledger",
        settings='\n[policy]\nclassifier = "heuristic"\n',
        arguments=("-m", "routewright.bench.unledgered", "serve", "--port", "0"),
    ),
)


async def configuration_figures(plan: Plan, gateways: Mapping[str, Child]) -> list[Figure]:
    """CPU of a 1 KB request in each; and of one whose client names the model, so that nothing is decided."""
    rounds = await in_turn(plan, gateways, whole(PROMPT_CHARS), plan.requests)
    named = await in_turn(plan, {"usual": gateways["usual"]}, whole(PROMPT_CHARS, model=MODELS[-1]), plan.requests)
    figures = [
        figure(f"{each.name}_configuration_us", f"1 KB request, {each.what}", "µs CPU", cpu(rounds[each.name]))
        for each in CONFIGURATIONS
    ]
    what = "1 KB request, the model named by the client"
    return [*figures, figure("named_configuration_us", what, "µs CPU", cpu(named["usual"]))]


@contextmanager
def all_running(upstream: Child, folder: Path) -> Iterator[Mapping[str, Child]]:
    """Each of them, for the length of a block, with a ledger of its own."""
    with ExitStack() as stack:
        gateways = {}
        for each in CONFIGURATIONS:
            home = folder / each.name
            home.mkdir()
            config = write_settings(home, upstream, more=each.settings)
            arguments = [*each.arguments, "--config", str(config)]
            gateways[each.name] = stack.enter_context(running(f"gateway-{each.name}", arguments, home))
        yield gateways
