"""`python -m infra.worker ROLE`: what the supervisor starts."""

from __future__ import annotations

import sys

from infra.cli import main

if __name__ == "__main__":
    main(["worker", *sys.argv[1:]])
