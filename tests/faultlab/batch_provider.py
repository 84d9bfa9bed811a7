"""A provider's batch API in a process of its own: the simulator's, over HTTP, with a bill and a place to be held up.

Each request is a line in the bill, in order: `{"asked": "POST /v1/files"}`, and where it makes a batch also
`"custom_ids"`. While FOLDER/hold names a moment (`before POST /v1/files`, `after POST /v1/batches`), whoever comes to
it gets no answer: before it, nothing was done; after it, all was.

    python tests/faultlab/batch_provider.py FOLDER       prints its port, serves until it is killed
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from routewright.dialects.wire import WireRequest
from routewright.simulator import Simulator
from routewright.simulator.batches import BatchPlan
from routewright.simulator.profiles import PROFILES


class Provider(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    folder: Path
    simulator: Simulator

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _answer(self, body: bytes) -> None:
        asked = f"{self.command} {self.path.partition('?')[0]}"
        self._hold("before", asked)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = WireRequest(url=self.path, headers=headers, body=body, method=self.command)
        status, answer = asyncio.run(self._ask(request))
        self._bill(asked, answer)
        self._hold("after", asked)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        with suppress(BrokenPipeError):  # whoever asked was killed
            self.wfile.write(answer)

    async def _ask(self, request: WireRequest) -> tuple[int, bytes]:
        response = await self.simulator.send(request, connect_timeout_s=1.0)
        pieces = []
        while data := await response.next():
            pieces.append(data)
        return response.status, b"".join(pieces)

    def _bill(self, asked: str, answer: bytes) -> None:
        line: dict[str, object] = {"asked": asked}
        if asked == "POST /v1/batches":
            made = self.simulator._batches._batches[json.loads(answer)["id"]]
            line["custom_ids"] = [request["custom_id"] for request in made.requests]
        with (self.folder / "bill").open("a") as bill:
            bill.write(json.dumps(line) + "\n")

    def _hold(self, when: str, asked: str) -> None:
        hold, moment = self.folder / "hold", f"{when} {asked}"
        while hold.exists() and hold.read_text() == moment:
            (self.folder / "held").touch()
            time.sleep(0.01)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Nothing on stderr."""


if __name__ == "__main__":
    Provider.folder = Path(sys.argv[1])
    Provider.simulator = Simulator(time_scale=0, batches=BatchPlan(takes_s=0), models={"gpt-5.5": PROFILES["gpt-5"]})
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        print(server.server_address[1], flush=True)  # noqa: T201 - the parent reads it
        server.serve_forever()
