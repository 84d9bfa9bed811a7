"""What a conversation shows of how it goes, on traces of agents, and what that makes of the next decision."""

from random import Random

import pytest

from builders import call
from deciding import choose, expecting, verdict
from routewright.call import Message, Text, ToolResult
from routewright.catalog.registry import Tier
from routewright.decision.intent import Policy
from routewright.decision.progress import (
    MOST_MESSAGES,
    STILL_BROKEN,
    complains,
    read_progress,
    stepped,
    weighed,
    weight_of,
)
from routewright.route import Sign
from traces import COMPLAINT, FAILING_TESTS, RESOLVED, SMOOTH, STUCK_EDIT, trace

SUCCESS = {
    "bulk": 0.6,
    "structured": 0.7,
    "standard": 0.86,
    "standard-dear": 0.85,
    "complex": 0.95,
    "complex-dear": 0.96,
}


def signs(text: str) -> dict[str, float]:
    return {sign.name: sign.weight for sign in read_progress(trace(text))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMOOTH, {"13 steps of routine": -1.0}),
        (FAILING_TESTS, {"4 tool results failed": 1.5, "the same error 4 times": 1.0}),
        (STUCK_EDIT, {"3 tool results failed": 1.0, "the same error 3 times": 1.0, "the same edit 3 times": 1.5}),
        (RESOLVED, {}),
    ],
)
def test_what_a_trace_shows(text: str, expected: dict[str, float]) -> None:
    assert signs(text) == expected


@pytest.mark.parametrize(
    ("text", "said", "taken"),
    [
        (SMOOTH, Tier.COMPLEX, Tier.STANDARD),
        (SMOOTH, Tier.STANDARD, Tier.BULK),
        (FAILING_TESTS, Tier.STANDARD, Tier.COMPLEX),
        (FAILING_TESTS, Tier.BULK, Tier.COMPLEX),
        (STUCK_EDIT, Tier.BULK, Tier.COMPLEX),
        (RESOLVED, Tier.STANDARD, Tier.STANDARD),
    ],
)
def test_the_next_turn_moves_by_tiers_and_the_route_says_why(text: str, said: Tier, taken: Tier) -> None:
    conversation = trace(text)
    asked = call(messages=conversation)
    before = choose(asked, verdict(said))
    after = choose(asked, verdict(said), session=read_progress(conversation))
    assert (before.tier, before.session, after.tier) == (said, (), taken)
    assert {sign.name: sign.weight for sign in after.session} == signs(text)
    for sign in after.session:
        assert f"{sign.name} ({sign.weight:+g})" in after.reason


@pytest.mark.parametrize(
    ("text", "model"), [(SMOOTH, "standard"), (FAILING_TESTS, "complex-dear"), (RESOLVED, "standard")]
)
def test_where_a_quality_is_asked_for_the_success_of_all_models_moves(text: str, model: str) -> None:
    session = read_progress(trace(text))
    policy, expected = Policy(min_quality=0.85), expecting(SUCCESS)
    assert choose(said=verdict(Tier.BULK), policy=policy, forecast=expected).chosen.model == "standard"
    forecast = weighed(expected, weight_of(session))
    route = choose(said=verdict(Tier.BULK), policy=policy, forecast=forecast, session=session)
    assert (route.chosen.model, route.session) == (model, session)


def test_a_named_model_is_not_moved() -> None:
    route = choose(call(model="bulk"), session=read_progress(trace(STUCK_EDIT)))
    assert (route.chosen.model, route.session) == ("bulk", ())


@pytest.mark.parametrize(("lines", "weight"), [(3, 0), (5, 1.0), (7, 2.0), (9, 2.5)])
def test_a_first_failure_is_part_of_the_work_and_each_more_weighs(lines: int, weight: float) -> None:
    assert sum(signs("\n".join(FAILING_TESTS.strip().splitlines()[:lines])).values()) == weight


def test_another_program_that_succeeds_mends_nothing() -> None:
    assert signs(f"{FAILING_TESTS}Bash git diff --stat -> 1 file changed\n") == signs(FAILING_TESTS)


def test_what_is_read_may_be_full_of_errors() -> None:
    read = "Read app.log -> ERROR: boom\\nTraceback (most recent call last)\\nexit code 1\n"
    assert signs(f"user: What is in these logs of ours?\n{read * 5}") == {}


@pytest.mark.parametrize(
    "told",
    [
        "Process exited with code 1\\nOutput:",
        "Exit code: 2\\nWall time: 0.1 seconds",
        "Tests: 2 failed, 4 passed",
        "sh: 1: pytset: command not found",
        "src/app.ts(3,1): note\\nerror TS2304: cannot find it\\nFound 1 error",
        "Traceback (most recent call last):\\n  File x\\nKeyError: 'name'",
        "!",
    ],
)
def test_how_programs_fail(told: str) -> None:
    assert "3 tool results failed" in signs("user: Make the build pass for me\n" + f"Bash make build -> {told}\n" * 3)


@pytest.mark.parametrize(
    "told",
    ["Process exited with code 0", "12 passed, 0 failed", "0 errors, 0 warnings", "exit code 0", "no errors", ""],
)
def test_how_programs_succeed(told: str) -> None:
    assert signs("user: Make the build pass for me\n" + f"Bash make build -> {told}\n" * 3) == {}


def test_a_new_task_begins_anew() -> None:
    assert signs(f"{STUCK_EDIT}user: Leave that. Write a changelog entry for the release.\n") == {}
    assert signs(f"{STUCK_EDIT}user: go on\n") == signs(STUCK_EDIT)


@pytest.mark.parametrize(
    "words",
    [
        "It still doesn't work, nothing happens",
        "same error as before I'm afraid",
        "Das geht leider immer noch nicht",
        "Ça ne marche toujours pas, désolé",
        "Esto sigue sin funcionar para mí",
        "Isso ainda não funciona aqui comigo",
        "Purtroppo non funziona per niente ancora",
        "Кнопка всё ещё не работает у меня",
        "还是不行 ， 点 按钮 没有 反应",
        "まだ エラー が 出て います よ",
        "버튼이 여전히 안 되는 것 같아요",
    ],
)
def test_a_user_whom_it_did_not_help_counts(words: str) -> None:
    assert signs(COMPLAINT.format(words=words)) == {"the user says that it still does not work": 1.0}


@pytest.mark.parametrize(
    "words",
    [
        "Great, that works. Now add a button for PDF",
        "Is it still possible to export to PDF as well?",
        "Perfekt, jetzt funktioniert alles. Mach noch Tests dazu.",
        "Now explain to me how the export works",
    ],
)
def test_a_user_who_goes_on_does_not(words: str) -> None:
    assert signs(COMPLAINT.format(words=words)) == {}


COMPLAINING_WORDS = """
    still again not n't fail broken error does did is doesn't work fix help compile pass same problem issue bug fixed
    immer noch weiterhin wieder nicht fehler kaputt funktioniert geht klappt marche fonctionne toujours encore pas la
    même une erreur sigue sin fallando dando no funciona mismo não nao funcionou mesmo erro non funziona stesso errore
    не работает помогло та же ошибка всё все ещё еще 还是 仍然 依然 不 错 失败 报 没 没有 修好 解决 まだ 動 直 エラー
    かない 動かない 動きません 여전히 아직 아직도 안 ſtill sİgue ſame wıeder
"""


def test_no_complaint_is_missed_by_the_quick_look() -> None:
    chance, complaints = Random(3), 0
    for _ in range(20_000):
        text = " ".join(chance.choices(COMPLAINING_WORDS.split(), k=chance.randrange(1, 6)))
        text = text.upper() if chance.random() < 0.2 else text
        is_found = STILL_BROKEN.search(text) is not None
        assert complains(text) == is_found, text
        complaints += is_found
    assert complaints > 1_000


def test_what_a_first_turn_complains_about_is_the_task() -> None:
    assert signs("user: The build still does not work on my machine, please help") == {}


def test_what_programs_put_into_the_users_turn_is_not_the_users() -> None:
    reminder = Text("<system-reminder>\nThis still does not work.\n</system-reminder>")
    before = trace(COMPLAINT.format(words="x"))[:-1]
    assert read_progress((*before, Message("user", (reminder, Text("Now write the documentation for it"))))) == ()


def test_only_so_much_is_looked_at() -> None:
    old = trace(STUCK_EDIT)
    read = trace("Read a.py -> fine\n" * (MOST_MESSAGES // 2))
    assert [sign.name for sign in read_progress((*old, *read))] == [f"{MOST_MESSAGES // 2} steps of routine"]


def test_a_result_without_its_call_tells_nothing() -> None:
    assert read_progress((Message("user", (ToolResult("gone", "x", is_error=True),)),) * 5) == ()


@pytest.mark.parametrize(
    ("said", "weight", "taken"),
    [
        (Tier.COMPLEX, 3.0, Tier.COMPLEX),
        (Tier.BULK, -1.0, Tier.BULK),
        (Tier.BULK, 2.5, Tier.COMPLEX),
        (Tier.BULK, 0.5, Tier.BULK),
        (Tier.STRUCTURED, 1.0, Tier.COMPLEX),
        (Tier.STRUCTURED, -1.0, Tier.STRUCTURED),
        (Tier.STANDARD, -0.5, Tier.STANDARD),
    ],
)
def test_steps_between_tiers(said: Tier, weight: float, taken: Tier) -> None:
    assert stepped(said, weight) is taken


def test_weights_move_odds_and_nothing_is_sure() -> None:
    moved = weighed(expecting({"a": 0.5, "b": 1.0, "c": 0.0}), 2.0)
    assert {name: round(each.success, 3) for name, each in moved.of.items()} == {"a": 0.269, "b": 1.0, "c": 0.0}
    assert weight_of((Sign("x", 1.5), Sign("y", -0.5))) == 1.0
