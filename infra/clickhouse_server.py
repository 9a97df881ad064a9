"""Embedded ClickHouse: `python -m infra.clickhouse_server --port 8123 --path DIRECTORY`.

chDB (ClickHouse in a wheel) behind ClickHouse's HTTP protocol. Warm start 1.5 s, 330 MB resident. What an insert
acknowledged is in the page cache and survives kill -9 of this process; a part is renamed into place whole or not at all.
The password comes from `BOURSE_CLICKHOUSE_PASSWORD`: an argument would show in the process list.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from pathlib import Path

import uvicorn

from infra.clickhouse_engine import Engine
from infra.clickhouse_http import ClickHouseHttp

log = logging.getLogger(__name__)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="embedded ClickHouse over HTTP")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on (HTTP)")
    parser.add_argument("--path", type=Path, required=True, help="directory of the data")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    engine = Engine(arguments.path)
    log.info("ClickHouse %s (embedded) on %s, data in %s", engine.version, arguments.port, arguments.path)
    with tempfile.TemporaryDirectory(prefix="bourse-") as pipes:
        server = ClickHouseHttp(
            engine,
            Path(pipes),
            user=os.environ.get("BOURSE_CLICKHOUSE_USER", "default"),
            password=os.environ.get("BOURSE_CLICKHOUSE_PASSWORD", ""),
        )
        # A client's pooled connection that is closed just as it is used again costs it a retry: keep idle ones long.
        uvicorn.run(
            server.app(),
            host=arguments.host,
            port=arguments.port,
            log_level="warning",
            access_log=False,
            # What is sent stands in a buffer that is used again: asyncio's transports copy what they can't write at once, uvloop's
            # (which uvicorn would choose by itself) keep a view of it, and clients would get bytes of a later answer.
            loop="asyncio",
            http="h11",
            timeout_keep_alive=300,
            timeout_graceful_shutdown=5,
        )
    engine.close()


if __name__ == "__main__":
    main()
