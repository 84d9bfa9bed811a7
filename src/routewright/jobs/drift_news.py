"""What is said of drift: to people in a line, to programs as JSON; ids of requests, and never a word of theirs."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from routewright.alerts import News
from routewright.decision.drift import Alarm, Quantity, Turn
from routewright.ledger.drift import Key
from routewright.ledger.ledger import NANOSECONDS
from routewright.money import exact_usd
from routewright.settings.schema import DriftSettings

_NAMES: Mapping[Quantity, str] = {
    Quantity.SUCCESS: "success rate",
    Quantity.FAILURES: "failures of attempts",
    Quantity.REFUSALS: "refusals",
    Quantity.LENGTH: "output length",
    Quantity.LATENCY: "latency",
    Quantity.COST: "cost of a task",
}


def name_of(key: Key) -> str:
    """What a stream is called: `success rate (feedback)`."""
    return _NAMES[key.quantity] + (f" ({key.family})" if key.family else "")


def shown(quantity: Quantity, value: float) -> str:
    """A mean in its unit; a success rate is told as such, though failures are counted."""
    if quantity is Quantity.SUCCESS:
        return f"{100 * (1 - value):.1f} %"
    if quantity.is_rate:
        return f"{100 * value:.1f} %"
    if quantity is Quantity.COST:
        nanousd = round(value)
        return f"${exact_usd(round(nanousd, 3 - len(str(nanousd))), least_decimals=4)}"  # three digits that count
    return f"{value:,.0f} {'ms' if quantity is Quantity.LATENCY else 'tokens'}"


def change_in_words(key: Key, alarm: Alarm) -> str:
    """`success rate (feedback) fell from 95.1 % to 88.0 % since 2026-11-27 04:51 UTC`."""
    rose = alarm.is_rise != (key.quantity is Quantity.SUCCESS)
    return (
        f"{name_of(key)} {'rose' if rose else 'fell'} from {shown(key.quantity, alarm.reference)} "
        f"to {shown(key.quantity, alarm.now)} since {minute(alarm.since_ns)}"
    )


def withdrawn(alarms: Mapping[Key, Alarm], settings: DriftSettings) -> Mapping[str, str]:
    """The models that `auto` does not choose now, each with what has changed."""
    if not (settings.enabled and settings.take_out_of_auto):
        return {}
    return {
        key.model: f"drift: {change_in_words(key, alarm)}"
        for key, alarm in alarms.items()
        if key.quantity in settings.streams
    }


def news_of(key: Key, turn: Turn, settings: DriftSettings) -> News:
    """What is told of an alarm, and of its end: to people and to programs, with ids and no content."""
    alarm, is_over = turn.alarm, turn.cleared_at_ns is not None
    words = f"{key.model}: {change_in_words(key, alarm)}"
    if is_over:
        words = f"{words}: it is as in the reference again"
    else:
        words = f"{words}, {'; '.join(_evidence(alarm, settings))}"
    body = {
        "model": key.model,
        "stream": key.quantity.value,
        "family": key.family or None,
        "state": "cleared" if is_over else "alarm",
        "rule": settings.rule,
        "direction": "rise" if alarm.is_rise else "fall",
        "reference": alarm.reference,
        "now": alarm.now,
        "interval": [alarm.low, alarm.high],
        "values": alarm.values,
        "likelihood_ratio": alarm.likelihood_ratio,
        "since": _time(alarm.since_ns),
        "examples": list(alarm.examples),
        "message": words,
        "time": _time(alarm.raised_at_ns if turn.cleared_at_ns is None else turn.cleared_at_ns),
    }
    return News(subject=key.model, words=f"drift: {words}", body=body)


def _evidence(alarm: Alarm, settings: DriftSettings) -> Iterator[str]:
    yield f"in {alarm.values:,} values"
    if alarm.likelihood_ratio is not None:
        yield f"they are {alarm.likelihood_ratio:,.0f} times likelier after such a change"
        yield f"at most {settings.budget:g} alarms in 30 days are expected to be false"
    yield f"see requests {', '.join(alarm.examples)}"


def minute(at_ns: int) -> str:
    """`2026-11-27 04:51 UTC`."""
    return f"{datetime.fromtimestamp(at_ns // NANOSECONDS, UTC):%Y-%m-%d %H:%M} UTC"


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NANOSECONDS, UTC).isoformat().replace("+00:00", "Z")
