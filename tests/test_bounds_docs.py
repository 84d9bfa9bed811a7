"""The table of bounds in docs/architecture.md is true, and SECURITY.md names tests that exist."""

import re
from pathlib import Path
from typing import Any

import pytest

from routewright import alerts, feedback, names, patterns, runtime, stores, transport, tuning
from routewright.access import keyring
from routewright.cache import aside
from routewright.catalog import registry
from routewright.cli import backtest, compare, serve, sides
from routewright.dashboard import (
    batches,
    budgets,
    models,
    overview,
    parameters,
    policies,
    quality,
    question,
    sessions,
    shadows,
)
from routewright.decision import agreement, checks, pairwise, progress, repair, schemas
from routewright.dialects import check_options, multipart, options, provider_errors, strict_json
from routewright.gateway import (
    admin_api,
    batches_api,
    batches_checking,
    batches_kept,
    batches_running,
    connection,
    entrance,
    files_kept,
    idempotency,
    known_head,
    overload,
    responses_kept,
    server,
    siblings,
    ui,
    ui_playground,
    ui_requests,
    ui_sessions,
    workers,
)
from routewright.http1 import pool
from routewright.jobs import answering, forecast, inputs, lines, promise_watch, provider, pruning, ticker, watch
from routewright.layers import circuit, incidents, key_quota, shadow, slowness
from routewright.ledger import browsing, drift, experience, job_holds, sqlite
from routewright.migration import yaml_reading
from routewright.policies import openfeature
from routewright.policies import store as policy_store
from routewright.settings import fetching, given, remote, sources
from routewright.settings.schema import Sections, ServerSettings, keys_of, without_none
from routewright.shared import board
from routewright.shared import connection as shared
from routewright.telemetry import content, exporter

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
SETTING = re.compile(r"`([a-z_]+)\.([a-z_]+)`")
CONSTANTS: dict[str, tuple[float, ...]] = {
    "restarts of a worker that dies": (
        workers.FIRST_PAUSE_S,
        workers.LONGEST_PAUSE_S,
        workers.MOST_DEATHS,
        workers.WITHIN_S,
    ),
    "drain of workers": (120, workers.LAST_WORDS_S),
    "closing, once nobody is answered any more": (serve.CLOSING_S,),
    "metrics of another worker": (siblings.METRICS_S,),
    "outcomes, and comparisons with shadows, that pages of quality look at": (
        quality.MOST_OUTCOMES,
        shadows.MOST_COMPARISONS,
    ),
    "keys and budgets on a page; models; versions and changes of a policy; comparisons one by one; batches": (
        budgets.MOST_SHOWN,
        models.MOST_SHOWN,
        policies.MOST_SHOWN,
        shadows.MOST_SHOWN,
        batches.MOST_SHOWN,
    ),
    "items of batches counted for a list of them": (batches.MOST_COUNTED,),
    "playgrounds that ask at once; an answer; the question": (
        ui_playground.MOST_ASKED,
        question.MOST_TOKENS,
        parameters.LONGEST_TEXT,
    ),
    "files of one key": (files_kept.MOST_FILES, 30, files_kept.KEPT_S),
    "a form": (multipart.MOST_PARTS, multipart.MOST_HEAD_BYTES, multipart.MOST_FIELD_BYTES),
    "body of a batch that is made": (batches_api.MOST_BODY_BYTES,),
    "batches of one key that are not over": (batches_kept.MOST_OPEN,),
    "batches worked on at once": (batches_running.MOST_AT_ONCE, 1),
    "a batch of `/v1/batches`": (batches_kept.WINDOW_S,),
    "batches that wait for a provider": (batches_running.MOST_ELSEWHERE,),
    "what must be left of its day for a batch to go to a provider": (batches_running.LEAST_WINDOW_S,),
    "a job of a day or more at a provider": (provider.LAST_S,),
    "problems told of a batch's file": (batches_checking.MOST_PROBLEMS,),
    "what is in flight for batches when a gateway ends": (batches_running.PATIENCE_S,),
    "a file sent to a provider's batch API": (provider.MOST_REQUESTS, provider.MOST_BYTES, provider.MOST_TEXTS),
    "a file that a provider does not have, and may be on its way": (provider.UNSURE_S,),
    "of these deleted in a round, once an hour": (pruning.MOST_A_ROUND, pruning.AT_ONCE),
    "looking at how it stands": (provider.FIRST_PAUSE_S, provider.LONGEST_PAUSE_S),
    "decisions that a backtest looks at": (experience.MOST_DECISIONS,),
    "questions of a comparison of two gateways": (
        compare.USUAL_QUESTIONS,
        compare.MOST_QUESTIONS,
        compare.MOST_AT_ONCE,
    ),
    "an answer of the other gateway": (sides.MOST_BYTES,),
    "policies of one `backtest --try`": (backtest.MOST_POLICIES,),
    "a claim in a budget for all that a job sends": (job_holds.TRIES, job_holds.PAUSE_S),
    "copies of requests to other models": (shadow.MOST_AT_ONCE, shadow.MOST_WAITING, 120),
    "a judge's word on two answers": (shadow.JUDGE_TOKENS,),
    "a copy's answer": (shadow.LEAST_TOKENS, shadow.TIMES_AS_LONG),
    "an answer that is compared with another": (shadow.LONGEST_BYTES, pairwise.SHOWN_CHARS, shadow.KEPT_CHARS),
    "what is said of an answer beside its score": (feedback.LONGEST_COMMENT, feedback.LONGEST_CORRECTION),
    "feedback on a request that is not recorded yet": (runtime.FLUSHED_WITHIN_S,),
    "nesting of a body": (strict_json.DEPTH_LIMIT,),
    "members and elements of a body": (strict_json.VALUE_LIMIT,),
    "a head that is known when it comes again": (known_head.MOST_BYTES, connection.MOST_LESSONS),
    "headers of a request": (connection.MOST_HEADERS,),
    "target of a request": (connection.MOST_TARGET_BYTES,),
    "pace of a body": (entrance.BODY_PACE_BYTES, entrance.BODY_PACE_S),
    "read of a body that was refused": (connection.MOST_DISCARDED_BYTES,),
    "idle connections": (server.IDLE_CONNECTION_S,),
    "an idle connection to a provider": (pool.IDLE_CONNECTION_MAX_S,),
    "another address of a host": (pool.NEXT_ADDRESS_S,),
    "requests waiting on one connection": (connection.MOST_PIPELINED,),
    "a client that takes nothing": (entrance.WRITE_STALL_S,),
    "bytes buffered for a slow client": (transport.BUFFERED_BYTES_MAX, server.UNSENT_BYTES),
    "incidents not told yet": (incidents.MOST_UNTOLD,),
    "spans that wait for the collector": (exporter.MOST_QUEUED_BYTES,),
    "delivering spans": (exporter.MAX_TRIES, exporter.TRY_LIMIT_S, exporter.LAST_TRY_S),
    "messages in a span": (content.MOST_CHARS,),
    "streams watched for drift": (watch.MOST_STREAMS,),
    "rows taken in for drift at a time": (watch.PAGE, watch.MOST_PAGES),
    "what the first look for drift goes back": (drift.MOST_HISTORY,),
    "news of drift not told yet": (alerts.MOST_NEWS,),
    "a settings file": (sources.MAX_FILE_BYTES, sources.MOST_KEY_PARTS),
    "mistakes told of the settings": (given.MOST_TOLD,),
    "names from an alias to its model": (registry.LONGEST_ALIAS,),
    "addresses of a host": (names.FRESH_S, names.USED_S),
    "requests in flight": (overload.MAX_IN_FLIGHT,),
    "those of one tenant": (overload.SHARE,),
    "messages that tell how a session goes": (progress.MOST_MESSAGES, 3 * progress.RESULT_CHARS),
    "tags of a request": (options.MOST_TAGS, options.LONGEST_TAG),
    "names of what may be left out of a request": (options.MOST_DROPPED, registry.LONGEST_NAME),
    "a model's or a user's name": (registry.LONGEST_NAME,),
    "a pattern of a price document": (patterns.MOST_BYTES, patterns.MOST_PROGRAM_BYTES),
    "a pattern of a check": (patterns.MOST_BYTES, patterns.MOST_PROGRAM_BYTES),
    "a JSON Schema": (schemas.MOST_BYTES, schemas.MOST_UNFOLDED),
    "steps of a request's schema that comes back to itself": (schemas.MOST_STEPS,),
    "checks of a request": (check_options.MOST_CHECKS,),
    "schemas that are kept ready, and patterns": (checks.MOST_COMPILED,),
    "JSON that is repaired": (repair.MOST_CHARS,),
    "what is compared of a short text": (agreement.SHORT_CHARS,),
    "keys": (keyring.MOST_KEYS,),
    "answers kept for `Idempotency-Key`": (
        idempotency.MOST_ANSWERS,
        idempotency.MOST_ANSWER_BYTES,
        idempotency.MOST_BYTES,
    ),
    "a look into the response cache": (aside.PATIENCE_S,),
    "answers on their way into a file, or Redis": (aside.MOST_WAITING,),
    "responses to go on from": (
        responses_kept.MOST_RESPONSES,
        responses_kept.MOST_RESPONSE_BYTES,
        responses_kept.MOST_BYTES,
    ),
    "body of an admin request": (admin_api.MAX_BODY_BYTES,),
    "waits of a place that it is compared by": (slowness.REMEMBERED, slowness.FORGOTTEN_AFTER_S),
    "a YAML file that is taken over": (sources.MAX_FILE_BYTES, yaml_reading.MOST_NODES, yaml_reading.DEEPEST),
    "one line of a batch's input": (inputs.LONGEST_LINE,),
    "a batch's `custom_id`": (lines.LONGEST_ID,),
    "results of a batch that the database does not have yet": (ticker.MOST_UNTOLD,),
    "waiting of a batch while everybody is down": (answering.PATIENCE_S,),
    "requests that policies are tried on by `tune`": (tuning.MOST_REQUESTS,),
    "comparisons looked at in a promise's round": (promise_watch.LOOK_EVERY_S, promise_watch.PAGE),
    "records that a dry run routes": (forecast.SAMPLE,),
    "waiting for Redis": (shared.OPERATION_S * 1000,),
    "connections to Redis": (shared.MOST_CONNECTIONS,),
    "limited keys told of in a round": (key_quota.MOST_TAKES,),
    "a rest or a pause that another gateway told": (circuit.LONGEST_REST_S, provider_errors.LONGEST_PAUSE_S),
    "a turn to probe": (board.TURN_S,),
    "a gateway that is not heard of": (board.ALIVE_S,),
    "versions of policies": (policy_store.MOST_VERSIONS, policy_store.MOST_BYTES),
    "flags for one call": (openfeature.SLOW_S,),
    "the start of a provider of flags": (openfeature.START_S,),
    "fetching settings from an address": (
        remote.PATIENCE_S,
        fetching.CONNECT_S,
        sources.MAX_FILE_BYTES,
        remote.MOST_REDIRECTS,
    ),
    "asking that address for newer ones": (remote.POLL_EVERY_S,),
    "pages of the dashboard made at once": (ui.AT_ONCE, ui.MOST_WAITING),
    "a page of the dashboard": (ui.PAGE_TIMEOUT_S,),
    "a question of a page in SQLite": (stores.LOOK_LIMIT_S,),
    "a page given to others who ask the same": (ui.KEPT_S, ui.MOST_KEPT),
    "opening a ledger in SQLite that somebody else makes or brings up to date": (sqlite.OPENING_BUSY_MS / 1000,),
    "entries a page of requests walks": (browsing.MOST_WALKED, browsing.MOST_WALKED_ROWS),
    "requests among which sessions are found": (sessions.LOOKED_AT, sessions.MOST_SESSIONS, sessions.MOST_TURNS),
    "requests since the start that the overview looks at": (overview.MOST_OF_RUN,),
    "parameters of a page": (parameters.MOST_PARAMETERS, parameters.LONGEST_VALUE),
    "a form of the dashboard": (ui.MOST_FORM_BYTES,),
    "readers who follow requests": (ui_requests.MOST_FOLLOWERS, ui_requests.FOLLOWED_S, ui_requests.MOST_AT_ONCE),
    "a session of the dashboard": (ui_sessions.LASTS_S,),
}
UNITS = {"KiB": 1024, "MiB": 1024 * 1024}
NUMBER = re.compile(r"(\d[\d,.]*\d|\d)(?: (KiB|MiB)\b)?")


def numbers(text: str) -> tuple[float, ...]:
    """All numbers in a text, in bytes where it says so."""
    return tuple(float(digits.replace(",", "")) * UNITS.get(unit, 1) for digits, unit in NUMBER.findall(text))


def default_of(section: str, key: str) -> Any:
    """A setting's default."""
    of_section = without_none(keys_of(Sections)[section].type)
    return keys_of(of_section)[key].default


def bounds() -> dict[str, tuple[str, str]]:
    """Default and overflow of every bound on the page."""
    page = (ROOT / "docs/architecture.md").read_text().partition("## Bounds")[2]
    rows = {name: (default, overflow) for name, default, overflow in ROW.findall(page)}
    del rows["what"]
    return rows


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_bound_on_the_page_is_the_one_in_the_code(name: str) -> None:
    default, overflow = bounds()[name]
    assert overflow
    assert numbers(default) == CONSTANTS[name]


def test_a_default_that_is_a_setting_is_the_settings() -> None:
    seen = 0
    for name, (default, _) in bounds().items():
        for section, key in SETTING.findall(default):
            value = default_of(section, key)
            if "eighth" in default:
                continue
            seen += 1
            assert (value / 1000 if key.endswith("_ms") else value) in numbers(default), name
    assert seen > 10


def test_every_bound_of_the_gateway_is_on_the_page() -> None:
    page = " ".join(default for default, _ in bounds().values())
    for key in keys_of(ServerSettings):
        if key.startswith("max_") or key.endswith(("_ms", "_seconds")):
            assert f"`server.{key}`" in page, key


def test_what_the_threat_model_leans_on_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
