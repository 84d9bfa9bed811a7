import stat
from pathlib import Path

import pytest

from routewright.errors import SettingsError
from routewright.secret import Secret
from routewright.settings.keys import KeyStore, read_reference, resolve


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("env:OPENAI_API_KEY", "env:OPENAI_API_KEY"),
        ("${OPENAI_API_KEY}", "env:OPENAI_API_KEY"),
        ("os.environ/OPENAI_API_KEY", "env:OPENAI_API_KEY"),
        ("keys:open-ai", "keys:open-ai"),
        ("env:A|B", "env:A|B"),
    ],
)
def test_references_have_two_forms_whatever_the_spelling(written: str, means: str) -> None:
    assert read_reference(written, "providers.openai.api_key") == means


@pytest.mark.parametrize(
    "written", ["sk-live-123", "env:", "env:A B", "env:A|", "$NAME", "${A", "", 5, None, ["env:A"]]
)
def test_what_is_no_reference_is_refused_unseen_with_the_command_that_helps(written: object) -> None:
    with pytest.raises(ValueError, match="routewright keys set openai") as refused:
        read_reference(written, "providers.openai.api_key")
    assert "sk-live" not in str(refused.value)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "MY_KEY is not set"),
        ({"MY_KEY": " "}, "MY_KEY is empty"),
        ({"MY_KEY": "two words"}, "MY_KEY does not hold a key"),
        ({"MY_KEY": "a\r\nx: y"}, "MY_KEY does not hold a key"),
        ({"MY_KEY": "schlüssel"}, "MY_KEY does not hold a key"),
    ],
)
def test_a_variable_without_a_usable_key_gives_the_reason(environ: dict[str, str], reason: str) -> None:
    assert resolve("env:MY_KEY", environ, {}) == f"the environment variable {reason}"


def test_the_first_of_several_variables_that_is_set_has_the_key() -> None:
    assert resolve("env:A|B", {"A": "sk-1", "B": "sk-2"}, {}) == Secret("sk-1")
    assert resolve("env:A|B", {"A": " ", "B": "sk-2"}, {}) == Secret("sk-2")
    assert resolve("env:A|B", {}, {}) == "the environment variable A is not set, nor is B"
    assert resolve("env:A|B", {"B": "two words"}, {}) == "the environment variable B does not hold a key"


def test_line_breaks_around_a_key_are_no_part_of_it() -> None:
    assert resolve("env:MY_KEY", {"MY_KEY": "sk-1\n"}, {}) == Secret("sk-1")


def test_a_key_that_was_never_stored_gives_the_command_to_store_it() -> None:
    assert resolve("keys:openai", {}, {}) == "no key 'openai' is stored: run `routewright keys set openai`"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "config" / "keys.toml")


def test_stored_keys_come_back_and_only_their_owner_can_read_them(store: KeyStore) -> None:
    store.set("openai", Secret('sk-"1"\\'))
    store.set("anthropic", Secret("sk-2"))
    store.set("openai", Secret("sk-3"))
    assert store.get("openai") == Secret("sk-3")
    assert store.load() == {"anthropic": Secret("sk-2"), "openai": Secret("sk-3")}
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in store.path.parent.iterdir()] == ["keys.toml"]


def test_any_key_that_fits_a_header_survives_the_file(store: KeyStore) -> None:
    every_character = "".join(map(chr, range(0x21, 0x7F)))
    store.set("odd", Secret(every_character))
    assert store.get("odd") == Secret(every_character)


def test_a_removed_key_is_gone(store: KeyStore) -> None:
    store.set("openai", Secret("sk-1"))
    assert store.remove("openai") is True
    assert store.remove("openai") is False
    assert store.get("openai") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_open_is_refused_with_the_command_that_fixes_it(store: KeyStore, mode: int) -> None:
    store.set("openai", Secret("sk-1"))
    store.path.chmod(mode)
    with pytest.raises(SettingsError, match=f"mode {mode:04o}") as refused:
        store.load()
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(f"run `chmod 600 {store.path}`")
    with pytest.raises(SettingsError):
        store.set("anthropic", Secret("sk-2"))


@pytest.mark.parametrize("content", ["openai = sk-1", "openai = 5", "[openai]\nkey = 'sk-1'", "openai = 'a\x00'"])
def test_a_damaged_file_is_refused_without_showing_what_is_in_it(store: KeyStore, content: str) -> None:
    store.set("openai", Secret("sk-1"))
    store.path.write_text(content)
    with pytest.raises(SettingsError, match="is damaged") as refused:
        store.load()
    assert "sk-1" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "x" * 65])
def test_names_that_a_reference_could_not_say_are_refused(store: KeyStore, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be the name"):
        store.set(name, Secret("sk-1"))


@pytest.mark.parametrize("text", ["", "sk 1", "sk-1\n", "sk-é"])
def test_texts_that_are_no_key_are_refused_unseen(store: KeyStore, text: str) -> None:
    with pytest.raises(SettingsError, match="cannot be a key") as refused:
        store.set("openai", Secret(text))
    assert not text or text not in str(refused.value)
    assert not store.path.exists()
