"""`bourse backend`: a server that speaks OpenAI's API as vLLM does, and has no model: only the time and the memory of one.

For trying things out, tests and benchmarks. The scheduler is that of `bourse simulate` (infra/simulate/batching.py: slots, paged KV
cache, chunked prefill, recomputation), driven by the real clock (replicas.py). Requests beyond slots and blocks wait in a queue
without bound, first come first served, as in vLLM: under overload latency grows and grows. Who limits it stands before it.

Every answer says what it is: `server: bourse-simulated-backend`, `x-simulated: true`, model `simulated`, and its text.

What a request costs:
    input tokens   one for every four bytes of its text in UTF-8, rounded up, four more for each message; a prompt of token ids: as
                   many as there are (prompts.py). No prefix cache.
    output tokens  16 to 255 by a checksum of the prompt, the same for every n; as many as are allowed with vLLM's `ignore_eos`.
    time           machine.py of `bourse simulate`, divided by the speed.

The field `simulate` of a request chooses otherwise (requests.py): `{"input_tokens": 812, "output_tokens": 240}`, and faults:
`{"fail": "die"}` (faults.py), `{"usage": {"completion_tokens": -1}}`. `GET /counted` tells what was really computed (counted.py).
"""
