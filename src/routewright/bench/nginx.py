"""nginx as a plain proxy, in the same run as the gateway: what passing on costs where nothing is done at all."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from routewright.bench.processes import START_TIMEOUT_S, BenchFailed, Child, children, started

_CONFIG = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 10000000;
  upstream provider {{ server {provider}; keepalive 512; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
"""One worker, connections kept alive on both sides, nothing logged, and chunks passed on as they come."""


@contextmanager
def nginx(upstream: Child, folder: Path) -> Iterator[Child | None]:
    """Its worker, for the length of a block; None where nginx is not installed. Raises BenchFailed."""
    program = shutil.which("nginx")
    if program is None:
        yield None
        return
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, provider=f"{upstream.host}:{upstream.port}", port=port))
    with started("nginx", [program, "-c", str(config), "-p", str(folder)], folder) as (process, _):
        yield Child(name="nginx", pid=_await_worker(process.pid, port), host="127.0.0.1", port=port)


def free_port() -> int:
    """One of the loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _await_worker(master: int, port: int) -> int:
    """Its process id, when connections are taken."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        workers = children(master)
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            workers = ()
        if workers:
            return workers[0]
        time.sleep(0.01)
    raise BenchFailed(f"nginx did not start within {START_TIMEOUT_S:g} s", program="nginx")
