"""`python -m dashboards`: serves the dashboard at the address of the settings until it is asked to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from werkzeug.serving import WSGIRequestHandler, make_server

from dashboards.app import build_app
from streams.errors import UserError
from streams.settings import Settings


class QuietHandler(WSGIRequestHandler):
    """A page asks three times in two seconds; only failed requests are logged."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Logs 4xx and 5xx."""
        if str(code)[:1] in "45":
            super().log_request(code, size)


def main() -> int:
    """Returns the exit code: 1 if the port is taken, 2 if a setting is wrong."""
    try:
        settings = Settings.load()
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        for library in ("urllib3", "clickhouse_connect"):
            logging.getLogger(library).setLevel(logging.ERROR)  # they warn of each failed try; the store tells of an outage once
        port = settings.port_of("dashboard", settings.dashboard_port)
        server = make_server(settings.host, port, build_app(settings).server, threaded=True, request_handler=QuietHandler)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"the dashboard can't listen at {settings.host}:{port}: {error.strerror or error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the serving loop, which runs in this thread.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    logging.getLogger(__name__).info("serving %s", settings.dashboard_url)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
