"""A pipeline of Ray Data with a stage of ours: `python ray_pipeline.py ADDRESS ITEMS ROWS` writes its rows as JSON."""

import json
import logging
import sys
from pathlib import Path

import ray
import ray.data

from routewright import RoutewrightStage


def main(address: str, items: int, into: Path) -> None:
    """Ask for so many rows, in blocks of ten."""
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = [{"custom_id": f"row{number}", "prompt": f"row{number} of many"} for number in range(items)]
    stage = RoutewrightStage("pipeline", model="ok", max_tokens=64, concurrency=4)
    answered = ray.data.from_items(rows, override_num_blocks=items // 10).map_batches(stage, batch_size=10)
    into.write_text(json.dumps(answered.take_all()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
