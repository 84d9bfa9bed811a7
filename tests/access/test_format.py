import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.access.format import KEY_CHARS, is_id, new_id, read_id, write_key

ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz _é"
secrets = st.binary(min_size=32, max_size=32)
ids = st.binary(min_size=16, max_size=16).map(new_id)


@given(ids, secrets)
def test_a_key_tells_its_id(key_id: str, secret: bytes) -> None:
    text = write_key(key_id, secret)
    assert len(text) == KEY_CHARS == 63
    assert text.startswith(f"rw-{key_id}-")
    assert is_id(key_id)
    assert read_id(text) == key_id


@given(ids, secrets, st.integers(0, KEY_CHARS - 1), st.sampled_from(ALPHABET))
def test_c12_every_single_wrong_character_is_seen_without_a_look_up(
    key_id: str, secret: bytes, at: int, character: str
) -> None:
    text = write_key(key_id, secret)
    wrong = text[:at] + character + text[at + 1 :]
    assert read_id(wrong) == (key_id if wrong == text else None)


@given(ids, secrets, st.integers(0, KEY_CHARS - 1))
def test_half_a_key_is_none(key_id: str, secret: bytes, length: int) -> None:
    assert read_id(write_key(key_id, secret)[:length]) is None


@given(ids, secrets, secrets)
def test_keys_of_other_secrets_are_other_keys(key_id: str, one: bytes, other: bytes) -> None:
    assert (write_key(key_id, one) == write_key(key_id, other)) == (one == other)


@pytest.mark.parametrize("nonsense", ["", "rw-", "sk-1234", "' OR 1=1 --", "rw-0000000000-" + "0" * 49, "\x00" * 63])
def test_nonsense_is_no_key(nonsense: str) -> None:
    assert read_id(nonsense) is None
    assert read_id(nonsense + "\n") is None


@given(st.text(max_size=80))
def test_no_text_at_all_raises(text: str) -> None:
    read_id(text)
    is_id(text)
