import msgspec
import pytest

from routewright.secret import Secret, without_password

CANARY = "sk-canary-8842"


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{!r}".format, lambda secret: f"{[secret]}"])
def test_a_secret_is_never_printed(show: type[str]) -> None:
    assert CANARY not in show(Secret(CANARY))


def test_a_secret_is_never_serialised() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(CANARY))


def test_the_text_is_there_for_the_header_it_belongs_in() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_equal_texts_are_equal_secrets() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://ann:{CANARY}@db:5432/ledger", "postgresql://ann:***@db:5432/ledger"),
        (f"postgresql://ann:{CANARY}@b@db/ledger?sslmode=require", "postgresql://ann:***@db/ledger"),
        (f"postgresql://:{CANARY}@/ledger?host=/run/pg", "postgresql://:***@/ledger"),
        (f"postgresql://db/ledger?password={CANARY}", "postgresql://db/ledger"),
        ("postgresql://ann@db/ledger", "postgresql://ann@db/ledger"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
