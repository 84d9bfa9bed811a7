"""Earlier items: how they go on, and how they are listed."""

from typing import Any

from routewright.dialects.responses_history import history, listed, page

SAID: list[dict[str, Any]] = [
    {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "s3al"},
    {"id": "rs_2", "type": "reasoning", "summary": []},
    {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": []},
    {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c", "name": "x", "arguments": "{}"},
    {"id": "ws_1", "type": "web_search_call", "status": "completed"},
]


def test_what_goes_on_is_tied_to_no_provider() -> None:
    assert history(SAID) == [
        {"type": "reasoning", "summary": [], "encrypted_content": "s3al"},
        {"type": "message", "role": "assistant", "content": []},
        {"type": "function_call", "call_id": "c", "name": "x", "arguments": "{}"},
        SAID[4],
    ]


def test_a_list_shows_every_item_with_an_id_and_words_as_parts() -> None:
    shown = listed([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, SAID[3]], "resp_9")
    assert shown == [
        {
            "id": "msg_9000",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi"}],
        },
        {
            "id": "msg_9001",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Yes?"}],
        },
        SAID[3],
    ]


def test_pages_follow_each_other_in_both_orders() -> None:
    items: list[dict[str, Any]] = [{"id": name} for name in "abc"]
    first = page(items, limit=2, after=None, is_ascending=False)
    assert [item["id"] for item in first["data"]] == ["c", "b"]
    assert (first["first_id"], first["last_id"], first["has_more"]) == ("c", "b", True)
    second = page(items, limit=2, after="b", is_ascending=False)
    assert ([item["id"] for item in second["data"]], second["has_more"]) == (["a"], False)
    assert page(items, limit=2, after="a", is_ascending=True)["data"] == [{"id": "b"}, {"id": "c"}]
    nothing = page(items, limit=2, after="z", is_ascending=True)
    assert (nothing["data"], nothing["first_id"], nothing["has_more"]) == ([], None, False)
