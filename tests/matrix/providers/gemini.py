"""`POST …:generateContent` and `…:streamGenerateContent` at Google."""

from collections.abc import Iterator, Mapping
from typing import Any

from matrix.meaning import File, Function, Line, Outcome, Picture, Said, Thought, Use, Wish, Words
from matrix.providers.wire import encoded, frame

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "refusal": "SAFETY"}
_KINDS = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED"}
_ROLES = {"user": "user", "model": "assistant"}
_MODES = {"AUTO": "", "VALIDATED": "", "NONE": "none", "ANY": "required"}


class Gemini:
    """A `Speaker`. Its stops do not say which sequence it was, and its refusals have no words."""

    model = "gemini-3.1-pro"
    path = "/models/gemini-3.1-pro"
    has_seals = True

    def understood(self, body: Mapping[str, Any]) -> Wish:
        """What a request means."""
        config = body.get("generationConfig", {})
        calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
        allowed = calling.get("allowedFunctionNames")
        return Wish(
            lines=(
                *(Words("system", part["text"]) for part in body.get("systemInstruction", {}).get("parts", ())),
                *(
                    line
                    for turn in body["contents"]
                    for part in turn["parts"]
                    for line in _lines(_ROLES[turn["role"]], part)
                ),
            ),
            functions=tuple(
                Function(each["name"], each["parametersJsonSchema"])
                for tool in body.get("tools", ())
                for each in tool["functionDeclarations"]
            ),
            choice=allowed[0] if allowed else _MODES[calling.get("mode", "AUTO")],
            schema=config.get("responseJsonSchema"),
            effort=config.get("thinkingConfig", {}).get("thinkingLevel", ""),
            stop="".join(config.get("stopSequences", ())),
            max_tokens=config.get("maxOutputTokens", 0),
            wants_logprobs=config.get("responseLogprobs", False),
        )

    def whole(self, said: Said) -> bytes:
        """All candidates at once."""
        return encoded(_answer(said, _parts(said, "".join(said.pieces)), is_last=True)).encode()

    def frames(self, said: Said) -> Iterator[bytes]:
        """Chunks that are answers themselves; without an end mark."""
        for thought in said.thoughts:
            yield frame(_answer(said, [_thought(thought)]))
        for piece in said.pieces[:-1]:
            yield frame(_answer(said, [{"text": piece}]))
        rest = _parts(said, said.pieces[-1] if said.pieces else "")[len(said.thoughts) :]
        yield frame(_answer(said, rest, is_last=True))

    def error(self, status: int, message: str) -> bytes:
        """The body of an answer with this status."""
        return encoded(
            {"error": {"code": status, "message": message, "status": _KINDS.get(status, "INTERNAL")}}
        ).encode()


def _lines(role: str, part: Mapping[str, Any]) -> Iterator[Line]:
    match part:
        case {"thought": True}:
            yield Thought(part["text"], part["thoughtSignature"])
        case {"text": text}:
            yield Words(role, text)
        case {"inlineData": {"mimeType": kind, "data": data}}:
            url = f"data:{kind};base64,{data}"
            yield Picture(url) if kind.startswith("image/") else File(url)
        case {"functionCall": call}:
            yield Use(call["id"], call["name"], call["args"])
        case {"functionResponse": result}:
            told = result["response"]
            shown = [line for each in result.get("parts", ()) for line in _lines(role, each)]
            pictures = tuple(line for line in shown if isinstance(line, Picture))
            yield Outcome(result["id"], told.get("error", told.get("output")), "error" in told, pictures)


def _thought(thought: Thought) -> dict[str, Any]:
    return {"text": thought.text, "thought": True, "thoughtSignature": thought.seal}


def _parts(said: Said, text: str) -> list[dict[str, Any]]:
    return [
        *map(_thought, said.thoughts),
        *([{"text": text}] if text else []),
        *({"functionCall": {"id": use.id, "name": use.name, "args": use.arguments}} for use in said.uses),
    ]


def _answer(said: Said, parts: list[dict[str, Any]], *, is_last: bool = False) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    counts = {"promptTokenCount": said.spent.fresh + said.spent.cached, "cachedContentTokenCount": said.spent.cached}
    if is_last:
        candidate["finishReason"] = _FINISH[said.finish]
        counts["candidatesTokenCount"] = said.spent.output
        if said.logprobs:
            chosen = [{"token": token, "logProbability": value} for token, value in said.logprobs]
            candidate["logprobsResult"] = {
                "chosenCandidates": chosen,
                "topCandidates": [{"candidates": []}] * len(chosen),
            }
    return {
        "candidates": [candidate],
        "usageMetadata": {**counts, "totalTokenCount": sum(counts.values())},
        "modelVersion": Gemini.model,
        "responseId": "lab",
    }
