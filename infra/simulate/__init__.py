"""`bourse simulate`: the rules of token pools on a modelled vLLM replica; only the clock and the GPU are not real.

Admission, limits and debts are those of processors/, called as production calls them: a decision per request, a tick per second.
The replica (batching.py; replica.py drives it) is a discrete-event model whose figures are in machine.py with their sources.

What such a model can't know: the GPU's real kernels (their times jump with tile sizes, clocks and heat; ours are a roofline that
meets one published sweep), prefix caches, speculative decoding, the network, a tokenizer's surprises, and what people do when they
wait. Shapes and ratios carry over to a real replica, milliseconds only roughly.

What is assumed of clients, under every control alike: arrivals do not slow down when answers do (an open loop). Who is refused
tries again after the refusal's hint, with the same request, until the tenant's patience ends; latency counts from the first try to
the last token. Who waits in a replica's queue waits on, as a client's default timeout of 600 s lets it.
"""
