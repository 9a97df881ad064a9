"""The order book against the published hashes of the GitHub benchmark flash1-dev/matching-engine-benchmark: every byte reported.

The hashes are of whole runs, two million messages each: half a minute each, run with BOURSE_BOOK_FULL=1, and by `make bench`.
Else the first messages of each, whose digests were taken in a run that matched the published hash.
"""

import os
from itertools import islice

import pytest
from equity_flow import PUBLISHED, SCENARIOS, Reporter, digest, messages

FIRST = 100_000
DIGEST_OF_FIRST = {
    "static": ("ca0970843fe3bffae136137b1ea3eabcdd6b2852c8ff2dfc030ba09cd8b66ddc", 107_632),
    "normal": ("47641db741a50f0f86d1fe156e08713abbe558cb783aa898b7cd691f9a6b43b5", 110_425),
    "swing-25": ("49ac9a544ddcd0af90439ec6bd765a809ca82dc5023b5389621cad2d2316d4b4", 110_704),
    "swing-40": ("679ec58a1eafeb570a4ed246fb42c611507c97367539449112116a478cdc2504", 110_736),
    "flash-crash": ("18a95a391db58949d5ee452a808fda1155d115efc2666a509d0d96bf356c099a", 110_822),
}
REPORTS = {"static": 2_147_158, "normal": 2_204_643, "swing-25": 2_208_868, "swing-40": 2_210_662, "flash-crash": 2_211_931}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_first_reports(scenario):
    assert digest(Reporter().lines(islice(messages(scenario), FIRST))) == DIGEST_OF_FIRST[scenario]


@pytest.mark.skipif(not os.environ.get("BOURSE_BOOK_FULL"), reason="half a minute each: BOURSE_BOOK_FULL=1 runs them")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_published_hash(scenario):
    assert digest(Reporter().lines(messages(scenario))) == (PUBLISHED[scenario], REPORTS[scenario])
