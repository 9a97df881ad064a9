"""What one GPU with one model takes for a step, and how much it holds: Llama 3.1 8B in BF16 on an A100 with 40 GB, under vLLM.

A step's time is a roofline: the weights are read once per step whatever the batch is, or the arithmetic takes longer than that;
each sequence's KV cache is read besides. Three figures of efficiency tie it to one published measurement, the sweep "vLLM
throughput-latency sweep on NVIDIA A100" (johnmusgrave.com/p/vllm-throughput-latency-sweep-on; vLLM 0.23, this model and GPU,
1,024 tokens in, 128 out): it decodes 75 tokens/s for one request at a time, and eight at once give 6.6 times the throughput of one;
the model gives 75 tokens/s and 6.0 times. `tests/infra/test_simulate_replica.py` holds it to both.
"""

from __future__ import annotations

from dataclasses import dataclass

LAYERS, HIDDEN, KV_HEADS, HEAD_DIM = 32, 4096, 8, 128
"""Of Llama 3.1 8B (its config.json): 32 layers, hidden size 4,096, 8 KV heads of dimension 128."""
PARAMETERS = 8.03e9
LOOKED_UP = 128_256 * HIDDEN
"""Of the parameters, the input embedding: a step looks rows up in it and does not read the rest."""
BYTES = 2
"""Of a BF16 number."""

KV_BYTES_PER_TOKEN = 2 * LAYERS * KV_HEADS * HEAD_DIM * BYTES
"""Key and value, every layer: 131,072 bytes."""

BLOCK_TOKENS = 16
"""vLLM's block size on CUDA (CacheConfig.block_size)."""

GPU_GIB, MEMORY_SHARE, WEIGHTS_GIB, ACTIVATIONS_GIB = 39.4, 0.9, 15.0, 1.5
"""An A100-40GB has 39.4 GiB; vLLM takes 0.9 of it (gpu_memory_utilization's default); it logs 14.99 GiB for these weights
(vllm issue 10517); activations of a profiling run, graphs and what is not PyTorch's take about 1.5 GiB."""
KV_BLOCKS = int((GPU_GIB * MEMORY_SHARE - WEIGHTS_GIB - ACTIVATIONS_GIB) * 2**30 / (KV_BYTES_PER_TOKEN * BLOCK_TOKENS))
"""9,707 blocks: the KV cache of 155,312 tokens."""

BATCHED_TOKENS = 2048
"""vLLM's max_num_batched_tokens on an A100 server (EngineArgs: 2,048 for OPENAI_API_SERVER, the A100 excluded from 8,192)."""
DEFAULT_SEQUENCES = 256
"""vLLM's max_num_seqs on an A100 (the same place)."""
SEQUENCES = 32
"""max_num_seqs of the simulated replica. vLLM's tuning guide: decrease it where a batch costs too much latency. A step of 32
sequences takes 1.1 times that of one here; of 256, 2.4 times. Admission can hold a latency only if a full batch can."""

BANDWIDTH = 1.555e12
"""Bytes per second of the A100-40GB's HBM2 (NVIDIA's data sheet)."""
FLOPS = 312e12
"""BF16 with tensor cores, dense (the same)."""
BANDWIDTH_REACHED = 0.85
OVERHEAD_S = 0.002
"""Of a step: scheduling, launching, sampling. With 0.85 of the bandwidth one sequence's step takes 13.4 ms: 75 tokens/s."""
FLOPS_REACHED = 0.65
"""Of what the tensor cores could: 12,600 tokens of a prompt per second. The sweep's 6.6 would need 0.8 or better overlap, which no
prefill of this size is known to reach; the model stays on the slow side."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One replica's limits and speed.

    Attributes:
        kv_blocks: blocks of the KV cache.
        sequences: how many may run at once.
        batched_tokens: how many tokens a step may compute, prompts and next tokens together.
    """

    kv_blocks: int = KV_BLOCKS
    sequences: int = SEQUENCES
    batched_tokens: int = BATCHED_TOKENS

    def step_us(self, decoding: int, context: int, prompt: int, attended: int) -> int:
        """Microseconds of one step.

        Args:
            decoding: sequences that get their next token.
            context: tokens in their KV caches, together.
            prompt: tokens of prompts in this step.
            attended: for each of those the tokens before it, added up.
        """
        arithmetic_s = (decoding + prompt) * 2 * PARAMETERS / (FLOPS * FLOPS_REACHED)
        weights_s = (PARAMETERS - LOOKED_UP) * BYTES / (BANDWIDTH * BANDWIDTH_REACHED)
        read_s = context * KV_BYTES_PER_TOKEN / (BANDWIDTH * BANDWIDTH_REACHED)
        attention_s = (
            attended * 4 * LAYERS * HIDDEN / (FLOPS * FLOPS_REACHED)
        )  # Q·K and weights·V, a multiplication and an addition
        return round(1e6 * (OVERHEAD_S + max(weights_s, arithmetic_s) + read_s + attention_s))
