import inspect
import pickle
from collections import Counter

import pytest

from routewright import errors
from routewright.errors import AllAttemptsFailed, ProviderFailed, ProviderOverloaded, RoutewrightError

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RoutewrightError)]
LEAVES = [kind for kind in CLASSES if not kind.__subclasses__()]


def test_every_leaf_has_a_number_and_a_code_of_its_own() -> None:
    assert [number for number, times in Counter(kind.number for kind in LEAVES).items() if times > 1] == []
    assert [code for code, times in Counter(kind.code for kind in LEAVES).items() if times > 1] == []


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_says_what_it_is(kind: type[RoutewrightError]) -> None:
    assert kind.number != "E000"
    assert 400 <= kind.status < 600
    assert inspect.getdoc(kind)


def test_the_tree_at_the_top_of_the_file_has_every_class() -> None:
    drawn = inspect.getdoc(errors) or ""
    assert [kind.__name__ for kind in CLASSES if kind.__name__ not in drawn] == []


def test_failures_that_agree_give_their_status_and_others_502() -> None:
    slow = ("a/b", ProviderOverloaded("429", retry_after_s=7))
    slower = ("c/d", ProviderOverloaded("429", retry_after_s=9))
    broken = ("e/f", ProviderFailed("500"))
    assert AllAttemptsFailed([slow, slower]).http_status == 429
    assert AllAttemptsFailed([slow, slower]).retry_after_s == 7
    assert AllAttemptsFailed([slow, broken]).http_status == 502
    assert AllAttemptsFailed([broken]).retry_after_s is None


def test_an_error_goes_whole_from_one_process_to_another() -> None:
    """Whatever its constructor takes: a batch's actors tell theirs."""
    slow = ProviderOverloaded("429", retry_after_s=7)
    sent = pickle.loads(pickle.dumps(AllAttemptsFailed([("a/b", slow)])))  # noqa: S301 our own
    assert isinstance(sent, AllAttemptsFailed)
    assert (sent.message, str(sent), sent.retry_after_s) == ("all 1 attempts failed: a/b: 429",) * 2 + (7,)
    assert isinstance(sent.failures[0][1], ProviderOverloaded)
