"""What a provider has no word for is left out where its client, or the operator, allows it; and the answer says so."""

from pathlib import Path

import pytest

from lobby import lobby

SETTINGS = """
[models.talker]
tier = "standard"
deployments = ["acme/talker"]
context_window = 100_000
capabilities = ["tools"]
price = { input = "1", output = "2" }
"""
ALLOWED = """
[policy]
drop_unsupported = ["tools"]
classifier = "heuristic"
"""
CODEX = {
    "model": "talker",
    "input": "List the files",
    "tools": [
        {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {}}},
        {"type": "web_search"},
        {"type": "custom", "name": "apply_patch"},
    ],
    "tool_choice": "auto",
    "include": ["reasoning.encrypted_content"],
}


@pytest.mark.parametrize(
    ("headers", "body"),
    [({"x-routewright-drop": "logprobs, tools"}, {}), ({}, {"routewright": {"drop": ["tools"]}})],
)
async def test_hosted_tools_are_left_out_by_leave(
    tmp_path: Path, headers: dict[str, str], body: dict[str, object]
) -> None:
    async with lobby(tmp_path, SETTINGS) as house:
        assert "'tools' cannot be carried" in (await house.call("POST", "/v1/responses", CODEX)).body.decode()
        answer = await house.call("POST", "/v1/responses", CODEX | body, headers=headers)
    assert (answer.status, answer.headers["x-routewright-dropped"]) == (200, "tools")


async def test_the_operator_may_allow_it_for_all(tmp_path: Path) -> None:
    async with lobby(tmp_path, SETTINGS) as house:
        settings = tmp_path / "routewright.toml"
        settings.write_text(settings.read_text().replace('[policy]\nclassifier = "heuristic"', ALLOWED))
        house.runtime.reload()
        answer = await house.call("POST", "/v1/responses", CODEX)
        assert (answer.status, answer.headers["x-routewright-dropped"]) == (200, "tools")
