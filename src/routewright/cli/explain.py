"""`routewright explain`: what an error number means, and what helps; read from the error classes themselves."""

from collections.abc import Iterator, Mapping

import click

from routewright.bench import processes as _bench_errors  # noqa: F401 so that they are in the tree
from routewright.cli import failures as _command_line_errors  # noqa: F401 so that they are in the tree
from routewright.cli.options import json_option
from routewright.cli.screen import Column, print_json, print_table
from routewright.errors import Fault, Remedy, RoutewrightError
from routewright.gateway import workers as _worker_errors  # noqa: F401 so that they are in the tree

FAULTS = {
    Fault.CALLER: "whoever made the request",
    Fault.PROVIDER: "the provider",
    Fault.OURS: "this installation",
}
REMEDIES = {
    Remedy.NOTHING: "The same request would fail again, so it is not repeated.",
    Remedy.ELSEWHERE: "The next model or deployment is tried.",
    Remedy.OTHER_MODEL: "The next model is tried.",
    Remedy.AGAIN: "The same deployment is tried again after a pause, then the next model.",
}
HELP: Mapping[str, str] = {
    "E000": "It is a bug: please report it with the lines of the log around it.",
    "E101": "Send one JSON object as the body; the message says where it stops being one.",
    "E102": "Correct the field that the message names.",
    "E103": "Send less, or raise server.max_body_bytes.",
    "E104": "Send a key of the gateway (`routewright keys create` makes one) as `Authorization: Bearer …`.",
    "E105": "Check the address; clients usually want a base URL that ends in /v1.",
    "E106": "Use the method that the message names.",
    "E107": "Use `auto`, or a name that `GET /v1/models` lists; add an alias under [aliases] for any other name.",
    "E108": "Shorten the input, ask for fewer output tokens, or add a model with a larger context window.",
    "E109": "`routewright route` shows for each model what removed it; relax that, or add a model.",
    "E110": "Add [models.NAME.price] to routewright.toml: what has no price cannot be accounted for.",
    "E111": "Wait for the budget to renew, raise it, or ask for fewer output tokens.",
    "E112": "Wait as long as `retry-after` says.",
    "E113": "Call the gateway as 127.0.0.1 or localhost, or give it a key: server.api_key.",
    "E114": "Use a key that has the role which the message names: `routewright keys create NAME --role ROLE`.",
    "E115": "Look for the key's id with `routewright keys list` or `GET /admin/keys`.",
    "E116": "Send it again when the first one is answered, to get the same answer; or take a new Idempotency-Key.",
    "E117": "Take a new Idempotency-Key for every request that is not the same one again.",
    "E118": "Check the client and every proxy before it: the message says what is wrong with the request's head.",
    "E119": "Send fewer or shorter headers; server.max_header_bytes raises the bound.",
    "E120": "Look for a slow network or proxy between the client and here; server.header_timeout_ms bounds the head.",
    "E121": "Responses are kept for a day, by the process that answered, but for those with `store: false` or no log.",
    "E122": "Send the whole conversation as `input`; with several processes, let a conversation stay with one.",
    "E123": "`routewright batch list` has the ids of all batches.",
    "E124": "Do what the message says: another output file, the same options as before, or wait for the other process.",
    "E136": "Ask something first, or look at a longer time: `routewright report` shows what the ledger has.",
    "E125": "Correct the lines or the option that the message names; nothing was asked, and nothing spent.",
    "E126": "Files are kept for 30 days, for the key that sent them: list them with `GET /v1/files`.",
    "E127": "Delete files that are not needed any more (`DELETE /v1/files/{id}`), or raise server.max_files_bytes.",
    "E128": "All nodes need the same Python, settings, keys and ledger; `ray status` and the logs of actors say more.",
    "E129": "Raise the budget, say --max-tokens so that less is held, or let it be asked live: --via live or auto.",
    "E131": "Correct the check that the message names; schemas refer only within themselves, patterns are RE2's.",
    "E132": "Ask for less in the schema or check, take a stronger model, or allow more turns: [cascade].",
    "E138": "Have answers judged beside the baseline's, or set policy.exploration and send feedback; then tune again.",
    "E139": "Put a policy in force by `routewright tune --apply`: what it was promised for is watched from then on.",
    "E142": "`routewright policies list` has all names; `routewright policies list NAME` the versions of one.",
    "E143": "Do what the message says: correct the names of models in it, or go on with a version that is there.",
    "E151": "Leave server.workers at 1 on this system, or run several gateways behind a proxy, with PostgreSQL.",
    "E152": "The log says why each worker ended: out of memory, a plug-in, a bug; `--workers 1` shows it by itself.",
    "E146": "Give the id in our header `x-routewright-request-id`; a key judges its own requests, and its team's.",
    "E154": "Install routewright into a Python of 3.11 or newer; `uv tool install --python 3.12` finds one.",
    "E155": "Run the command that it names: it brings an extra, or installs all of it again, not with --no-deps.",
    "E148": "Use the dashboard's own pages; a proxy before the gateway must pass the Host header on as it came.",
    "E149": "Ask for a shorter time or fewer filters; if every page is slow, look at the disk that has the ledger.",
    "E156": "Start the other gateway or correct --against and --via; keys are named by --against-key env:NAME.",
    "E157": "Take the export as docs/migration.md says: GET /key/list?return_full_object=true, of every page.",
    "E201": "Check the provider's base_url and this machine's network; `routewright doctor` looks at local servers.",
    "E202": "Check this machine's date and certificate authorities, and for a proxy that intercepts TLS.",
    "E203": "Usually passes; if not, look for a proxy or firewall between here and the provider.",
    "E204": "Usually passes; what was generated may be billed, and is in the ledger as an estimate.",
    "E205": "Check that the provider's `dialect` is right and its base_url ends where its documentation says.",
    "E206": "Raise policy.fallback_timeout_ms, or first_event_timeout_ms of that model, if it is slow by nature.",
    "E207": "Raise policy.idle_timeout_ms if the model pauses that long by nature.",
    "E208": "Ask the provider for a higher limit, lower `concurrency`, or add a second deployment.",
    "E209": "Usually passes; the provider's status page knows more.",
    "E210": "Read what the provider said in the message: the request has something it does not take.",
    "E211": "Store a valid key: `routewright keys set PROVIDER`, or correct its environment variable.",
    "E212": "Nothing to do: it is probed again by itself after a rest.",
    "E213": "Raise `concurrency` of the provider, or add a deployment.",
    "E214": "Wait for the budget to renew, raise it, or let a cheaper model stand behind this one.",
    "E215": "Nothing to do: the provider named the pause. More keys or another deployment would share the load.",
    "E216": "It ends with the outage. A second deployment, or another model as a fallback, gets through.",
    "E217": "Allow more time with `x-routewright-deadline-ms`, or name a faster model as a fallback.",
    "E218": "Mend or replace the key, or what it may use: the log says what it met. It is tried again by itself.",
    "E301": "The message has what each attempt met, in order; explain those.",
    "E302": "Raise policy.deadline_ms, or the request's own `x-routewright-deadline-ms`.",
    "E401": "Look at the ledger's disk: space, permissions, errors. `routewright doctor` checks them.",
    "E402": "Look at the ledger's disk, or PostgreSQL, and at who else uses it; nothing is lost meanwhile.",
    "E403": "Come back later, as `retry-after` says; or run more processes.",
    "E404": "Correct the lines that the message names; `routewright config check` checks them again.",
    "E405": "Close what else uses this machine, and measure again; the message has the last words of what failed.",
    "E406": "Install routewright anew, or name another artefact; until then requests are classified by the heuristic.",
    "E407": "Check that second_opinion.onnx is a sentence-embedding model, and that the tokenizer belongs to it.",
    "E408": "Upgrade every routewright that uses this ledger; the message says which is older, and what was refused.",
    "E409": "Look at the ledger's database; keys without a budget, and server.api_key, go on meanwhile.",
    "E410": "Send it again: another process answers, or this one once it is back; server.drain_seconds gives time.",
    "E411": "Start Redis, or correct redis.url; requests go on meanwhile, with each gateway counting its own share.",
    "E420": "Check the folder, its disk and its permissions; Parquet needs `pip install 'routewright[data]'`.",
    "E421": "Stop the gateway that the message names, and say it again.",
    "E422": "Copy into an empty database; a copy that was cut off goes on from the ledger it was begun with.",
    "E501": "Choose another address with --host and --port, or end the program that has this one.",
    "E502": "Look for the name with `routewright ledger tail`, `budgets list` or `keys list`.",
    "E504": "Correct the file as the message says; docs/cli.md (`routewright eval`) has the columns.",
    "E505": "Check the file or address (docs/prices.md); `--accept` takes over changes that are meant.",
    "E506": "Export usage or cost anew as CSV or JSON; docs/prices.md has the columns that are read.",
    "E507": "Start it by itself, `routewright serve`, to see what is wrong; ROUTEWRIGHT_KEY is the key it is sent.",
    "E508": "Install the program, or give its whole path: `routewright launch -- /path/to/program`.",
}


@click.command("explain", short_help="Say what an error number means and what helps.")
@click.argument("number", required=False)
@json_option
def command(number: str | None, as_json: bool) -> None:
    """Say what an error number means and what helps.

    NUMBER is one like E107, or the code of an HTTP error like model_not_found. Without it, all errors are listed.
    """
    if number is None:
        _list(as_json=as_json)
        return
    error = find(number)
    if error is None:
        raise click.BadParameter(f"there is no error {number!r}; `routewright explain` lists them", param_hint="NUMBER")
    if as_json:
        print_json(described(error))
        return
    click.echo(f"{error.number} {error.__name__}: {meaning(error)}")
    click.echo(f"  code      {error.code}\n  HTTP      {error.status}\n  lies with {FAULTS[error.fault]}")
    click.echo(f"  by itself {REMEDIES[error.remedy]}\n  you       {HELP[error.number]}")


def errors() -> list[type[RoutewrightError]]:
    """All errors that have a number of their own, in order of it."""
    return sorted({kind.number: kind for kind in _tree(RoutewrightError)}.values(), key=lambda kind: kind.number)


def find(name: str) -> type[RoutewrightError] | None:
    """By number or by code."""
    return next((kind for kind in errors() if name.upper() == kind.number or name.lower() == kind.code), None)


def meaning(error: type[RoutewrightError]) -> str:
    """What it says of itself."""
    return " ".join((error.__doc__ or "").split())


def described(error: type[RoutewrightError]) -> dict[str, object]:
    """The same for machines."""
    return {
        "number": error.number,
        "name": error.__name__,
        "code": error.code,
        "meaning": meaning(error),
        "status": error.status,
        "fault": error.fault.value,
        "remedy": error.remedy.value,
        "help": HELP[error.number],
    }


def _tree(kind: type[RoutewrightError]) -> Iterator[type[RoutewrightError]]:
    """A class and all below it that have a number of their own: the branches of the tree have none."""
    if "number" in vars(kind):
        yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


def _list(*, as_json: bool) -> None:
    if as_json:
        print_json([described(error) for error in errors()])
        return
    columns = (Column("number"), Column("code"), Column("HTTP", is_number=True), Column("what it means"))
    print_table(columns, [(error.number, error.code, str(error.status), meaning(error)) for error in errors()])
