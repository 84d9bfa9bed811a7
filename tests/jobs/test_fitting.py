"""How many questions fit into a budget at a time."""

from pathlib import Path

from builders import call
from routewright.jobs.fitting import fit_of
from simulated import open_runtime

NOW_S = 1_795_000_000


async def test_it_names_the_length_with_which_as_many_fit_as_are_to_be_asked(tmp_path: Path) -> None:
    runtime = open_runtime(tmp_path)
    asked = call("Tell a story")
    fit = fit_of(runtime.engine, asked, room_nanousd=500_000_000, wanted=50, now_s=NOW_S)
    assert fit is not None
    assert fit.at_a_time < 50
    assert fit.tokens_for_all is not None
    assert 0 < fit.tokens_for_all < fit.longest_tokens
    longer = fit_of(runtime.engine, asked, room_nanousd=1_000_000_000, wanted=50, now_s=NOW_S)
    assert longer is not None
    assert longer.tokens_for_all is not None
    assert longer.tokens_for_all > fit.tokens_for_all
    await runtime.close()


async def test_what_does_not_even_fit_once_has_no_such_length(tmp_path: Path) -> None:
    runtime = open_runtime(tmp_path)
    fit = fit_of(runtime.engine, call("x" * 1_000), room_nanousd=1, wanted=5, now_s=NOW_S)
    assert fit is not None
    assert (fit.at_a_time, fit.tokens_for_all) == (0, None)
    await runtime.close()


async def test_who_has_said_the_length_is_told_nothing(tmp_path: Path) -> None:
    runtime = open_runtime(tmp_path)
    assert fit_of(runtime.engine, call(max_output_tokens=9), room_nanousd=1, wanted=5, now_s=NOW_S) is None
    await runtime.close()
