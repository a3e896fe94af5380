"""One BERT in fine-tuning on PyTorch: transformers' encoder, Google's head, our optimizers.

As in `trainer.py`, rows of like length share a micro batch that is cut to its longest row, and the
lookup of words stands outside of autograd. And a classifier looks at [CLS] alone, so that the last layer computes nothing else.

As in run_classifier.py and run_squad.py of google-research/bert there is dropout before the head, but not for spans. Otherwise than there,
a span can neither begin nor end in padding, so that a row's logits and loss do not depend on its neighbours.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wholeword.core.bert.names import names
from wholeword.core.bert.shapes import HEADS
from wholeword.core.contracts import BertConfig
from wholeword.core.contracts.tasks import NO_TARGET, Rows
from wholeword.plugins.pytorch.devices import Computing
from wholeword.plugins.pytorch.kernels import build_kernel
from wholeword.plugins.pytorch.model import build_model
from wholeword.plugins.pytorch.steps import Batch, Interruption, num_hits, take_steps
from wholeword.plugins.pytorch.tensors import fill, to_canonical, to_device

if TYPE_CHECKING:
    from wholeword.core.contracts import Head, Optimizer, Tensors

HEAD_DROPOUT = 0.1  # of run_classifier.py, whatever the model's own


class MicroBatch(NamedTuple):
    """Some rows of a batch, ready for the model. B rows, L length."""

    ids: Tensor  # [B, L]
    segments: Tensor  # [B, L]
    mask: Tensor | None  # bool [B, 1, 1, L], None where no row is padded
    targets: Tensor  # [B], [B, 2] or [B, L]


class PyTorchFineTuner:
    """See `wholeword.core.contracts.FineTuner`."""

    def __init__(
        self,
        *,
        config: BertConfig,
        weights: "Tensors",
        head: "Head",
        optimizer: "Optimizer",
        clip_norm: float,
        computing: Computing,
    ):
        self.config, self.head, self.clip_norm = config, head, clip_norm
        self.computing, self.device = computing, computing.device
        self.bert = build_model(config, self.device).bert
        encoder_names = names("transformers", num_hidden_layers=config.num_hidden_layers)
        left_out = () if head == "classification" else ("bert/pooler/",)
        self.parameters = {
            name: self.bert.get_parameter(other.removeprefix("bert."))
            for name, other in encoder_names.items()
            if name.startswith("bert/") and not name.startswith(left_out)
        }
        for name in (f"{HEADS[head]}_weights", f"{HEADS[head]}_bias"):
            self.parameters[name] = nn.Parameter(torch.empty(weights[name].shape, device=self.device))
        fill(self.parameters, {name: weights[name] for name in self.parameters}, kind="weights")
        self.head_weights, self.head_bias = list(self.parameters.values())[-2:]
        self.words = self.parameters["bert/embeddings/word_embeddings"]
        self.words.grad = torch.zeros_like(self.words)
        self.pooler, self.bert.pooler = self.bert.pooler, None
        self.last_layer: nn.Module | None = None
        if head == "classification":
            self.last_layer = self.bert.encoder.layer[-1]
            del self.bert.encoder.layer[-1]
        self.dropout = nn.Dropout(0.0 if head == "span" else HEAD_DROPOUT)
        self.modules = nn.ModuleList(module for module in (self.bert, self.last_layer, self.dropout) if module is not None)
        self.optimizer = build_kernel(optimizer, self.parameters)
        self.interruption = Interruption()

    def train_steps(self, batches: Iterable[Batch], *, learning_rates: Sequence[float], seeds: Sequence[int]) -> list[dict[str, float]]:
        """As the interface says. A step whose gradient is not finite changes nothing, nor does any after it; its metrics are the last."""
        self.modules.train()
        measured = take_steps(
            self._backward, batches, learning_rates, seeds, parameters=self.parameters, optimizer=self.optimizer, clip_norm=self.clip_norm
        )
        keys = ("loss", "correct", "count", "grad_norm")
        return [dict(zip(keys, (loss / count, correct, count, norm), strict=True)) for loss, correct, count, norm in measured]

    def _backward(self, batch: Batch) -> Tensor:
        """Set the gradients of the step's loss; return the sums of loss and hits, and what they are to be divided by, float32 [3]."""
        for parameter in self.parameters.values():
            parameter.grad = parameter.grad.zero_() if parameter is self.words else None
        targets = batch["targets"]
        count = max(1, len(targets) if self.head == "span" else int((targets != NO_TARGET).sum()))
        sums = torch.zeros(3, device=self.device)
        sums[2] = count
        for _, micro in self._micro_batches(batch):
            self.interruption.check()
            embedded, logits = self._forward(micro)
            loss, correct = self._loss(logits, micro.targets)
            torch.autograd.backward(loss / count)
            # subtle: the lookup stands outside of autograd, which would fill and add a whole [vocab_size, hidden_size] for these few rows
            assert self.words.grad is not None and embedded.grad is not None
            self.words.grad.index_add_(0, micro.ids.flatten(), embedded.grad.flatten(0, 1))
            sums[:2] += torch.stack([loss, correct]).detach()
        return sums

    def _loss(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of loss and hits; a span counts as a hit if both its ends are right."""
        if self.head == "span":
            begins, ends = logits.unbind(-1)
            loss = (F.cross_entropy(begins, targets[:, 0], reduction="sum") + F.cross_entropy(ends, targets[:, 1], reduction="sum")) / 2
            return loss, (logits.argmax(1) == targets).all(1).sum().float()
        logits, targets = logits.flatten(0, -2), targets.flatten()
        return F.cross_entropy(logits, targets, reduction="sum", ignore_index=NO_TARGET), num_hits(logits, targets)

    def _forward(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """The looked-up embeddings [B, L, hidden], and the logits in float32: [B, num_labels] or [B, L, num_labels]."""
        embedded = F.embedding(micro.ids, self.words.detach()).requires_grad_(torch.is_grad_enabled())
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.computing.bf16):
            hidden = self.bert(inputs_embeds=embedded, attention_mask=micro.mask, token_type_ids=micro.segments).last_hidden_state
            if self.last_layer is not None:
                hidden = self.pooler(_first_position(self.last_layer, hidden, micro.mask))
            logits = F.linear(self.dropout(hidden), self.head_weights, self.head_bias).float()
        if self.head == "span" and micro.mask is not None:
            logits = logits.masked_fill(~micro.mask[:, 0, 0, :, None], -torch.inf)
        return embedded, logits

    def _micro_batches(self, batch: Batch) -> Iterator[tuple[np.ndarray, MicroBatch]]:
        """Split a batch into micro batches, longest rows first. Yields: the numbers of the rows, and the micro batch."""
        lengths = batch["input_mask"].sum(1)
        order = np.argsort(-lengths, kind="stable")
        multiple = 1 if self.device.type == "cpu" else 16  # few distinct shapes suit the memory allocator of a GPU
        by_piece = self.head == "tagging"
        size = self.computing.rows_at_once(self.config, int(lengths.max()))
        for rows in np.split(order, range(size, len(order), size)):
            length = min(-(-int(lengths[rows].max()) // multiple) * multiple, batch["input_ids"].shape[1])
            mask = np.arange(length) < lengths[rows, None]
            yield (
                rows,
                MicroBatch(
                    ids=to_device(batch["input_ids"][rows, :length], self.device),
                    segments=to_device(batch["segment_ids"][rows, :length], self.device),
                    mask=None if mask.all() else to_device(mask[:, None, None, :], self.device),
                    targets=to_device(batch["targets"][rows, :length] if by_piece else batch["targets"][rows], self.device),
                ),
            )

    @torch.no_grad()
    def logits(self, rows: Rows) -> np.ndarray:
        """See the contract; rows of similar length are computed together."""
        self.modules.eval()
        by_row = self.head == "classification"
        results = np.zeros((len(rows) if by_row else len(rows.ids), len(self.head_bias)), np.float32)
        order = np.argsort(-rows.lengths, kind="stable")
        lengths = rows.lengths[order]
        first = 0
        while first < len(order):
            last = first + self.computing.rows_at_once(self.config, int(lengths[first]))
            numbers = order[first:last]
            batch = rows.batch(numbers)
            for indices, micro in self._micro_batches(batch):
                self.interruption.check()
                logits = self._forward(micro)[1].cpu().numpy()
                if by_row:
                    results[numbers[indices]] = logits
                else:
                    filled = batch["input_mask"][indices, : logits.shape[1]].astype(bool)
                    results[rows.pieces_of(numbers[indices])] = logits[filled]
            first = last
        return results

    def weights(self) -> "Tensors":
        """As the contract says."""
        return {name: to_canonical(parameter, name) for name, parameter in self.parameters.items()}

    def optimizer_state(self) -> "Tensors":
        """As the contract says."""
        return self.optimizer.state()

    def load(self, weights: "Tensors", optimizer_state: "Tensors") -> None:
        """Load a checkpoint. Raises: UserError if names or shapes do not match."""
        fill(self.parameters, weights, kind="weights")
        self.optimizer.load(optimizer_state)

    def interrupt(self) -> None:
        """See `wholeword.core.contracts.InterruptibleTrainer`."""
        self.interruption.request()


def _first_position(layer: Any, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """What a BertLayer gives for the first position of each row, [B, 1, hidden], from hidden [B, L, hidden]."""
    attention = layer.attention.self

    def by_head(projected: Tensor) -> Tensor:  # [B, heads, positions, head size]
        return projected.view(*projected.shape[:2], attention.num_attention_heads, -1).transpose(1, 2)

    first = hidden[:, :1]
    context = F.scaled_dot_product_attention(
        by_head(attention.query(first)),
        by_head(attention.key(hidden)),
        by_head(attention.value(hidden)),
        attn_mask=mask,
        dropout_p=attention.dropout.p if attention.training else 0.0,
    )
    attended = layer.attention.output(context.transpose(1, 2).flatten(2), first)
    output: Tensor = layer.output(layer.intermediate(attended), attended)
    return output
