"""Memory that rows take while a BERT trains, and how many rows therefore fit at once.

16 bytes per parameter hold the float32 weights, gradients and two moments. For each position and layer the backward pass needs 34 bytes
per unit of width and 5 bytes per attention score (16-bit; twice that in float32), and each MLM logit takes 12 bytes.
Source: Korthikanti et al. 2022 (arXiv:2205.05198).
"""

from wholeword.core.bert.shapes import count_parameters
from wholeword.core.contracts import BertConfig


def row_bytes(config: BertConfig, max_seq_length: int, max_predictions: int, *, bf16: bool) -> int:
    """Bytes kept for the backward pass of one row."""
    width, layers, heads = config.hidden_size, config.num_hidden_layers, config.num_attention_heads
    per_position = (34 * width + 5 * heads * max_seq_length) * (1 if bf16 else 2)
    return layers * max_seq_length * per_position + 12 * max_predictions * config.vocab_size


def comfortable_rows(config: BertConfig, memory_bytes: int, max_seq_length: int, max_predictions: int, *, bf16: bool) -> int:
    """Rows that fit at once with a tenth of the memory to spare, at least 1."""
    free = 0.9 * memory_bytes - 16 * count_parameters(config)
    return max(1, int(free / row_bytes(config, max_seq_length, max_predictions, bf16=bf16)))


def rows_at_once(num_rows: int, most: int) -> int:
    """The largest divisor of `num_rows` up to `most`, so that all micro batches have one shape."""
    return max(size for size in range(1, min(most, num_rows) + 1) if num_rows % size == 0)
