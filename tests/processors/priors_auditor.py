"""The auditor's word on priors: which hours a tenant's profile takes, by the plain oracle of the mixture."""

HOURS = 168


def audit_priors(record, pool, facts, require):
    """One command that was not seen before; `pool` is the auditor's, or None. Takes its facts from the list."""
    reason = "unknown_pool" if pool is None else "keeps_no_profiles" if pool.mixture is None else None
    if reason:
        refused = facts.pop(0)
        require((refused.KIND, refused.KIND == "command_refused" and refused.reason) == ("command_refused", reason), f"{refused}")
        return
    said = facts.pop(0)
    require((said.KIND, said.id, said.as_of, said.tenant, said.source) == (
        "priors_set", record.id, record.as_of, record.tenant, record.source,
    ), f"priors_set: {said}")  # fmt: skip
    taken = {}
    for place, tenant in enumerate(record.tenant):
        told = record.hour_of_week[place * HOURS : (place + 1) * HOURS]
        unknown = set(pool.mixture.unknown_hours(tenant)) if tenant in pool.profiles else set()
        hours = [tokens if hour in unknown else None for hour, tokens in enumerate(told)]
        count = sum(tokens is not None for tokens in hours)
        outcome = "unknown_tenant" if tenant not in pool.profiles else "taken" if count else "nothing_new"
        require((said.outcome[place], said.hours[place]) == (outcome, count), f"{tenant}: {said.outcome[place]}, not {outcome}")
        if count:
            taken[tenant] = hours
    if taken:
        primed = facts.pop(0)
        require((primed.KIND, primed.tenant) == ("profiles_primed", list(taken)), f"profiles_primed: {primed}")
        require(primed.hour_of_week == [tokens for hours in taken.values() for tokens in hours], "hours that are taken")
        pool.mixture.prime(taken)
