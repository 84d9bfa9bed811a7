"""`routewright ask`: one question, answered on stdout as the answer comes; what it took is told on stderr."""

import asyncio
import logging
import os
from collections.abc import Mapping

import click
from msgspec import structs

from routewright.cli import logs
from routewright.cli.opening import asked, source_of, wished
from routewright.cli.options import json_option, question_options, read_prompt, settings_options, simulate_option
from routewright.cli.screen import is_terminal, print_json, say
from routewright.client import AnswerStream, Ask, read_question
from routewright.reply import Answer, Reply
from routewright.runtime import SIMULATOR_SCHEME, Runtime
from routewright.settings.sources import ConfigPlace
from routewright.settings_source import SettingsSource
from routewright.text import plain, usd


@click.command("ask", short_help="Ask one question; the answer comes as it is written.")
@question_options
@json_option
@simulate_option
@settings_options
def command(
    words: tuple[str, ...],
    model: str | None,
    tier: str | None,
    min_quality: float | None,
    quality: str | None,
    policy: str | None,
    system: str | None,
    max_tokens: int | None,
    as_json: bool,
    simulate: bool,
    config: ConfigPlace | None,
    flags: Mapping[str, str],
) -> None:
    """Ask one question; the answer comes as it is written.

    PROMPT is all words together. Without any, or where one of them is `-`, the prompt is what stdin has; given both,
    stdin comes after the words: `routewright ask "Explain this:" - < error.log`. Which model answered, and what it
    cost, is told on stderr. With --json the whole answer is printed when it is there, with its route and its costs.
    """
    prompt = read_prompt(words)
    ask = asked(model=model, tier=tier, min_quality=min_quality, policy=policy, system=system, max_tokens=max_tokens)
    logs.configure(level=logging.WARNING, no_color="NO_COLOR" in os.environ)
    asyncio.run(_ask(source_of(config, wished(flags, quality), simulate=simulate), prompt, ask, as_json=as_json))


async def _ask(source: SettingsSource, prompt: str, ask: Ask, *, as_json: bool) -> None:
    runtime = Runtime.open(source)
    engine = runtime.engine
    try:
        reply = await engine.ask(read_question(prompt, ask, request_id=engine.mint_id(), stream=not as_json))
        if as_json:
            whole = await reply.read()
            print_json(structs.replace(whole, route=whole.route.written_out()))
        else:
            answer = await _show(reply)
            say(told(answer, is_simulated=reply.attempt.deployment.base_url == SIMULATOR_SCHEME))
    finally:
        await runtime.close()


async def _show(reply: Reply) -> Answer:
    """Write the text as it comes: to a terminal without what it would obey, elsewhere as it is."""
    stream = AnswerStream(reply)
    last = "\n"
    try:
        async for text in stream:
            click.echo(plain(text) if is_terminal() else text, nl=False)
            last = text
    finally:
        stream.close()
        if not last.endswith("\n"):
            click.echo()
    if stream.answer.refusal:
        click.echo(plain(stream.answer.refusal))
    return stream.answer


def told(answer: Answer, *, is_simulated: bool) -> str:
    """Who answered, and what it took: `→ bulk deepseek-v3 · confidence 0.82 · 12 in / 120 out · $0.000141`."""
    receipt, usage = answer.receipt, answer.usage
    parts = [f"→ {answer.tier} {answer.model}"]
    if answer.confidence is not None:
        parts.append(f"confidence {answer.confidence:.2f}")
    parts.append(f"{usage.input_total} in / {usage.output_total} out")
    parts.append(f"{usd(receipt.cost_nanousd)}{' at most, estimated' if receipt.is_estimated else ''}")
    if answer.attempts > 1:
        parts.append(f"{answer.attempts} attempts")
    if answer.finish == "length":
        parts.append("cut at the longest output allowed")
    if is_simulated:
        parts.append("simulated")
    return " · ".join(parts)
