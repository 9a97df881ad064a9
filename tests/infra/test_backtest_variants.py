"""What a backtest may try: `--policy` and `--set`, and what they can't mean."""

from __future__ import annotations

import pytest

from infra.backtest.variants import RECORDED, variants
from streams.errors import BadInput


@pytest.mark.parametrize(
    ("policies", "sets", "told"),
    [
        ([], [], "what shall be tried"),
        (["best"], [], "--policy best: known are seed, uniform_price, max_min, proportional"),
        ([], ["policy=best"], "known are seed"),
        ([], ["capacity"], "name=value is expected"),
        ([], ["capacity="], "name=value is expected"),
        ([], ["colour=red"], "--set colour: no setting of a pool; known are capacity, policy.* sla, sla.enabled,.* rebalance.step"),
        ([], ["sla.colour=red"], "--set sla.colour: no setting of a pool; known are sla.enabled, sla.quantile,.* sla.longest$"),
        ([], ["sla.enabled.x=1"], "--set sla.enabled.x: no setting of a pool; known are sla.enabled"),
        ([], ["sla.quantile=2"], "--set sla.quantile=2: sla.quantile: .* more than 1"),
        ([], ["sla.window=1.5"], "--set sla.window=1.5: sla.window: .* valid integer"),
        ([], ["sla.enabled=maybe"], "sla.enabled: .* valid boolean"),
        ([], ["sla.step=0.2,sla=null"], "sla stands twice"),
        ([], ["rebalance=on"], "rebalance: .*dictionary"),
        ([], ["rebalance.look_back_h=24"], "proposals stand in the journal"),
        ([], ["burst.fill=1"], "only gateways act by it"),
        ([], ["period_s=5"], "periods are numbered by it"),
        ([], ["capacity=-1"], "capacity: .* greater than or equal to 0"),
        ([], ["capacity=many"], "capacity: .* valid integer"),
        ([], ["cached_weight=1.5"], "cached_weight: .* more than 1"),
        ([], ["capacity=1,capacity=2"], "capacity stands twice"),
        ([], ["capacity=null"], "capacity: .* valid integer"),
    ],
)
def test_what_cannot_be_tried_is_told(policies: list[str], sets: list[str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        variants(policies, sets)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_each_policy_is_tried_with_each_set_and_names_say_it() -> None:
    names = [each.name for each in variants(["seed", "max_min", "seed"], ["capacity=5,lot=2", "cached_weight=0.5"])]
    assert names == [
        RECORDED,
        "seed capacity=5 lot=2",
        "seed cached_weight=0.5",
        "max_min capacity=5 lot=2",
        "max_min cached_weight=0.5",
    ]
