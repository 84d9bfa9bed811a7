"""A Ray cluster of several nodes on this machine, any of which can be killed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import routewright

_PACKAGES = Path(routewright.__file__).parents[1]
_OBJECTS_BYTES = 80 * 1024 * 1024


class RayNodes:
    """The head, which has no place for actors, and nodes with places for two."""

    def __init__(self, home: Path, nodes: int) -> None:
        from ray.cluster_utils import Cluster

        usual: dict[str, Any] = {"object_store_memory": _OBJECTS_BYTES, "include_dashboard": False}
        with patch.dict(os.environ, environ_of(home)):
            self._cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **usual})
            self.nodes = [self._cluster.add_node(num_cpus=2, wait=False, **usual) for _ in range(nodes)]
            self._cluster.wait_for_nodes()

    @property
    def address(self) -> str:
        """For `--ray-address`."""
        return str(self._cluster.address)

    def kill(self, index: int) -> None:
        """Kill all processes of one node, as if its machine had failed."""
        self._cluster.remove_node(self.nodes.pop(index), allow_graceful=False)

    def close(self) -> None:
        """End all of it, and leave nothing behind."""
        session = self._cluster.head_node.get_session_dir_path()
        self._cluster.shutdown()
        shutil.rmtree(session, ignore_errors=True)


def environ_of(home: Path) -> dict[str, str]:
    """For all processes of a cluster, and those that use it: no network, and no word to anybody."""
    return {
        "HOME": str(home),
        "PYTHONPATH": str(_PACKAGES),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_DISABLE_IMPORT_WARNING": "1",
    }


@contextmanager
def ray_nodes(home: Path, nodes: int) -> Iterator[RayNodes]:
    """A cluster for the length of a block; its processes have `home` for their home."""
    cluster = RayNodes(home, nodes)
    try:
        yield cluster
    finally:
        cluster.close()


def start_pipeline(folder: Path, cluster: RayNodes, items: int) -> "subprocess.Popen[bytes]":
    """A pipeline with a stage of ours over so many rows, which end in `rows.json` there."""
    script = Path(__file__).with_name("ray_pipeline.py")
    command = [sys.executable, str(script), cluster.address, str(items), "rows.json"]
    environ = {**environ_of(folder), "PATH": os.environ["PATH"]}
    with (folder / "err").open("ab") as told:
        return subprocess.Popen(command, env=environ, cwd=folder, stdout=told, stderr=told)
