"""`python -m dashboards.questions` prints the questions as the README shows them."""

import sys

from dashboards.questions import as_markdown

sys.stdout.write(as_markdown())
