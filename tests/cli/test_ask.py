import json
import re
from pathlib import Path

from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from terminal import Terminal


def test_answer_is_on_stdout_and_what_it_took_on_stderr(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    done = terminal.spawn("ask", "--simulate", "--max-tokens", "20", "Prove", "that 2 is prime")
    assert done.returncode == 0
    assert done.stdout.startswith("[simulated claude-opus-4.7]")
    assert done.stdout.endswith("\n")
    told = done.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"→ complex claude-opus-4\.7 · confidence 0\.\d\d · \d+ in / \d+ out · \$0\.\d{6}"
        r"( · cut at the longest output allowed)? · simulated",
        told,
    )
    store = Store(SqliteDatabase(terminal.ledger))
    (recorded,) = store.tail(10)
    store.close()
    assert (recorded.outcome, recorded.stream) == ("complete", True)


def test_json_is_the_whole_answer(tmp_path: Path) -> None:
    done = Terminal(tmp_path).spawn("ask", "--simulate", "--json", "--model", "deepseek-v3", "-", stdin="Say hello")
    answer = json.loads(done.stdout)
    assert (answer["model"], answer["confidence"]) == ("deepseek-v3", None)
    assert answer["receipt"]["attempts"][0]["outcome"] == "complete"
    assert answer["usage"]["output"] > 0
    assert done.stderr == ""


def test_missing_prompt_is_a_usage_error(tmp_path: Path) -> None:
    result = Terminal(tmp_path).run("ask", stdin=" \n")
    assert result.exit_code == 2
    assert "the prompt is empty" in result.stderr


def test_refusal_ends_with_its_number_and_exit_code_1(tmp_path: Path) -> None:
    done = Terminal(tmp_path).spawn("ask", "--simulate", "--model", "nobody", "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error[E107]: no model is called 'nobody'\nhint: ")
