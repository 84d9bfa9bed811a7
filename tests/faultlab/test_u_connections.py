"""U01–U04 and U21–U23: what can go wrong about a connection before there is an answer in it."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from faulty_upstream import Exchange, body_of, faulty_upstream
from lab import PATIENCE_S, lab, model
from proxy import Toxics
from speech import DIALECTS

from routewright.gateway.connection import Connection as FromClient
from routewright.http1.response import Connection as ToProvider
from routewright.layers.incidents import Kind

both_dialects = pytest.mark.parametrize("dialect", DIALECTS)
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


# ---- two good ones -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FromClient, ToProvider])
async def test_what_is_sent_to_either_side_is_not_held_back_by_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[FromClient | ToProvider]
) -> None:
    sockets: list[socket.socket] = []
    made: Callable[..., None] = kind.connection_made

    def note(connection: object, transport: asyncio.BaseTransport) -> None:
        sockets.append(transport.get_extra_info("socket"))
        made(connection, transport)

    monkeypatch.setattr(kind, "connection_made", note)
    async with lab(tmp_path) as it:
        assert (await it.ask("ok", stream=True)).is_complete
        assert sockets
        assert all(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in sockets)


# ---- nobody there --------------------------------------------------------------------------------------------------


@both_ways
async def test_u01_a_refused_connection_is_free_and_the_next_deployment_answers_at_once(
    tmp_path: Path, stream: bool
) -> None:
    async with lab(tmp_path, model("two", "through/two", "good/two"), toxics=Toxics(refuse=True)) as it:
        for _ in range(12):  # which place is asked first is chosen by chance
            seen = await it.ask("two", stream=stream)
            assert seen.is_complete
        rows = await it.audit()
        refused = [row for row in rows if row.deployment == "through/two" and row.kind != "reserved"]
        assert {(row.kind, row.outcome) for row in refused} == {("released", "upstream_connect_failed")}


async def test_u01_without_another_place_it_is_another_model(tmp_path: Path) -> None:
    async with lab(tmp_path, model("away", "through/away", fallbacks=["ok"]), toxics=Toxics(refuse=True)) as it:
        assert (await it.ask("away")).headers["x-routewright-model"] == "ok"
        await it.audit()


async def test_u02_a_name_that_does_not_exist_is_a_failed_connection_and_holds_nobody_up(tmp_path: Path) -> None:
    nowhere = '[providers.nowhere]\nbase_url = "http://nowhere.invalid/v1"'
    policy = "max_retry_attempts = 0\nconnect_timeout_ms = 1000"
    lost = model("lost", "nowhere/lost", fallbacks=["ok"], first_event_timeout_ms=3000)
    async with lab(tmp_path, lost, settings=nowhere, policy=policy) as it:
        asked = asyncio.ensure_future(it.ask("lost"))
        assert (await it.ask("ok")).is_complete, "others are served while a name is looked up"
        assert (await asked).headers["x-routewright-model"] == "ok"
        rows = await it.audit()
        assert ("released", "upstream_connect_failed") in [(row.kind, row.outcome) for row in rows]


# ---- nobody to trust -----------------------------------------------------------------------------------------------


CA = """
[ca]
default_ca = lab
[lab]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = anything
x509_extensions = names
unique_subject = no
[anything]
commonName = supplied
[names]
subjectAltName = {name}
"""


def certified(folder: Path, name: str, *, until: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `name`, its own authority, valid from 2020 until then; and a server's use of it."""
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    (folder / "ca.cnf").write_text(CA.format(folder=folder, name=name))
    key, certificate, request = folder / "key.pem", folder / "certificate.pem", folder / "request.pem"
    new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=lab"
    sign = f"openssl ca -batch -notext -selfsign -config {folder}/ca.cnf -startdate 20200101000000Z -enddate {until}"
    try:
        for command in (
            f"{new} -keyout {key} -out {request}",
            f"{sign} -keyfile {key} -in {request} -out {certificate}",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the openssl command")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return certificate, context


@pytest.mark.parametrize(
    ("name", "until", "is_known"),
    [
        ("IP:127.0.0.1", "20490101000000Z", False),
        ("DNS:elsewhere.example", "20490101000000Z", True),
        ("IP:127.0.0.1", "20210101000000Z", True),
    ],
    ids=["self-signed", "wrong host", "expired"],
)
async def test_u03_what_cannot_be_verified_gets_no_request_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, until: str, is_known: bool
) -> None:
    certificate, context = certified(tmp_path, name, until=until)
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with faulty_upstream(tmp_path / "nothing.jsonl", {}, tls=context) as impostor:
        settings = f'[providers.tls]\nbase_url = "https://127.0.0.1:{impostor.port}/v1"\napi_key = "env:LAB_KEY"'
        models = model("alone", "tls/alone"), model("both", "tls/both", fallbacks=["ok"])
        async with lab(tmp_path, *models, settings=settings) as it:
            seen = await it.ask("alone")
            assert (seen.status, seen.code) == (502, "upstream_tls")
            assert (await it.ask("both")).headers["x-routewright-model"] == "ok"
            rows = await it.audit()
            assert impostor.arrivals == []
            assert it.runtime.engine.incidents.counts == {("tls/alone", Kind.TLS): 1, ("tls/both", Kind.TLS): 1}
            assert sum(row.kind == "reserved" for row in rows) == 3, "no second try in the same place"


# ---- nobody answers ------------------------------------------------------------------------------------------------


async def silent(exchange: Exchange) -> None:
    exchange.charge(0)
    await exchange.silence()


@both_ways
@both_dialects
async def test_u04_silence_before_the_head_is_left_for_another_and_not_tried_again(
    tmp_path: Path, dialect: str, stream: bool
) -> None:
    async with lab(
        tmp_path, model("silent", fallbacks=["ok"]), faults={"silent": silent}, dialect=dialect, patience_s=PATIENCE_S
    ) as it:
        seen = await it.ask("silent", stream=stream)
        assert it.upstream.reached("silent") == 1
        assert seen.headers["x-routewright-model"] == "ok"
        assert seen.seconds < PATIENCE_S + 1
        await it.audit()


async def test_u04_a_connection_that_passes_nothing_on_is_the_same(tmp_path: Path) -> None:
    hole = model("hole", "through/hole", fallbacks=["ok"])
    async with lab(tmp_path, hole, toxics=Toxics(timeout=True), patience_s=PATIENCE_S) as it:
        seen = await it.ask("hole")
        assert it.proxy.connections == 1
        assert seen.headers["x-routewright-model"] == "ok"
        await it.audit()


# ---- a connection that was used before -----------------------------------------------------------------------------


async def answer_and_close(exchange: Exchange) -> None:
    await exchange.answer_well()
    exchange.writer.close()


async def test_u21_a_connection_closed_while_idle_costs_nobody_anything(tmp_path: Path) -> None:
    async with lab(tmp_path, model("closing"), faults={"closing": answer_and_close}) as it:
        for _ in range(5):
            assert (await it.ask("closing")).is_complete
        await it.audit(most_attempts=5)
        assert it.upstream.connections == 5
        assert it.upstream.reached("closing") == 5


async def reset_if_used_before(exchange: Exchange) -> None:
    if sum(each.writer is exchange.writer for each in exchange.upstream.requests) > 1:
        exchange.charge(0)
        exchange.reset()
    else:
        await exchange.answer_well()


@both_ways
async def test_u21_a_request_that_may_have_been_read_is_never_sent_again_as_the_same(
    tmp_path: Path, stream: bool
) -> None:
    faults = {"resetting": reset_if_used_before}
    async with lab(tmp_path, model("resetting"), faults=faults) as it:
        assert (await it.ask("resetting", stream=stream)).is_complete
        seen = await it.ask("resetting", stream=stream)
        assert it.upstream.reached("resetting") == 3, "the reset was met, and the retry is an attempt of its own"
        assert seen.is_complete
        rows = await it.audit()
        lost = [row for row in rows if row.outcome == "upstream_connection_lost"]
        assert [(row.kind, row.is_estimated) for row in lost] == [("settled", 1)]
        assert len({arrival.attempt_id for arrival in it.upstream.arrivals}) == 3


# ---- a connection that leads elsewhere -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_u22_a_redirect_is_a_failure_and_nobody_else_gets_the_key(tmp_path: Path, status: int) -> None:
    async with faulty_upstream(tmp_path / "nothing.jsonl", {}) as attacker:
        lure = f"/{uuid4()}"  # whoever knew this port when it was somebody else's does not ask for that

        async def redirect(exchange: Exchange) -> None:
            await exchange.refuse(status, f"location: http://127.0.0.1:{attacker.port}{lure}")

        models = model("moved", fallbacks=["ok"]), model("lost")
        async with lab(tmp_path, *models, faults={"moved": redirect, "lost": redirect}) as it:
            assert (await it.ask("moved")).headers["x-routewright-model"] == "ok"
            alone = await it.ask("lost")
            assert (alone.status, alone.code) == (502, "upstream_invalid_response")
            assert it.upstream.reached("moved") == it.upstream.reached("lost") == 1
            await it.audit()
        assert lure not in attacker.addresses


# ---- a head that is no head ----------------------------------------------------------------------------------------

OK_LINE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BAD_HEADS = {
    "two lengths": OK_LINE + b"content-length: 5\r\ncontent-length: 500\r\n\r\n",
    "two lengths in one": OK_LINE + b"content-length: 5, 500\r\n\r\n",
    "chunked with a length": OK_LINE + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
    "a length with chunks": OK_LINE + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
    "a negative length": OK_LINE + b"content-length: -1\r\n\r\n",
    "a length of words": OK_LINE + b"content-length: many\r\n\r\n",
    "a space before the colon": OK_LINE + b"content-length : 5\r\n\r\n",
    "no colon": OK_LINE + b"content-length 5\r\n\r\n",
    "a zero byte": OK_LINE + b"x-odd: a\0b\r\ncontent-length: 5\r\n\r\n",
    "no end": OK_LINE + b"x-long: " + b"a" * 200_000,
    "no version": b"200 OK\r\ncontent-length: 5\r\n\r\n",
    "HTTP/0.9": b'{"choices": []}',
    "an odd transfer coding": OK_LINE + b"transfer-encoding: sideways\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_HEADS)
async def test_u23_an_ambiguous_head_is_no_answer(tmp_path: Path, name: str) -> None:
    async def ambiguous(exchange: Exchange) -> None:
        exchange.charge()
        body = exchange.speech.whole()
        await exchange.send(BAD_HEADS[name] + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        exchange.writer.close()

    async with lab(tmp_path, model("odd", fallbacks=["ok"]), faults={"odd": ambiguous}) as it:
        seen = await it.ask("odd", stream=False)
        assert it.upstream.reached("odd") >= 1
        assert seen.headers["x-routewright-model"] == "ok"
        await it.audit()


HOSTILE = (
    "connection: keep-alive",
    "keep-alive: timeout=5",
    "set-cookie: session=theirs",
    "x-injected: a\r\nx-second: b",
    "location: http://attacker.example/",
    "x-request-id: theirs",
    "x-routewright-model: theirs",
    "access-control-allow-origin: *",
    "openai-organization: ours",
    "server: theirs",
)


@both_ways
async def test_u23_no_header_of_the_providers_reaches_the_client(tmp_path: Path, stream: bool) -> None:
    async def talkative(exchange: Exchange) -> None:
        exchange.charge()
        body = b"".join(exchange.speech.frames()) if exchange.is_stream else exchange.speech.whole()
        await exchange.send(body_of(body, *HOSTILE))

    async with lab(tmp_path, model("talkative"), faults={"talkative": talkative}) as it:
        seen = await it.ask("talkative", stream=stream)
        assert it.upstream.reached("talkative") == 1
        assert seen.is_complete
        _assert_ours_only(seen.headers)
        await it.audit()


def _assert_ours_only(headers: dict[str, str]) -> None:
    assert not set(headers) & {"set-cookie", "x-injected", "x-second", "location", "keep-alive", "server"}
    assert not set(headers) & {"openai-organization", "access-control-allow-origin"}
    assert "theirs" not in headers.values()


async def test_the_oracles_find_nothing_in_good_answers(tmp_path: Path) -> None:
    async with lab(tmp_path, model("fine")) as it:
        for stream in (True, False):
            assert (await it.ask("fine", stream=stream)).is_complete
        rows = await it.audit(most_attempts=2)
        assert [row.is_estimated for row in rows if row.kind == "settled"] == [0, 0]
