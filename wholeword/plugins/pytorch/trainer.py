"""One BERT in training on PyTorch: transformers' modules, our placement of the heads, our optimizers.

What makes a step cheap: the MLM head sees only the positions that are predicted; rows of like length share a micro batch, which is cut
to its longest row, and has no attention mask when nothing is padded; clipping happens inside the optimizer's kernel.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wholeword.core.bert.names import names
from wholeword.core.contracts import BertConfig
from wholeword.plugins.pytorch.devices import Computing
from wholeword.plugins.pytorch.kernels import build_kernel
from wholeword.plugins.pytorch.model import build_model
from wholeword.plugins.pytorch.steps import Batch, Interruption, num_hits, take_steps
from wholeword.plugins.pytorch.tensors import fill, to_canonical, to_device

if TYPE_CHECKING:
    from wholeword.core.contracts import Optimizer, Tensors


class MicroBatch(NamedTuple):
    """Some rows of a batch, ready for the model. B rows, L length, N predictions that count."""

    rows: np.ndarray  # which rows of the batch
    slots: tuple[np.ndarray, np.ndarray]  # row and slot of every prediction, as an index of [batch, predictions]
    ids: Tensor  # [B, L]
    segments: Tensor  # [B, L]
    mask: Tensor | None  # bool [B, 1, 1, L], None where no row is padded
    positions: Tensor  # [N], into the B * L tokens
    labels: Tensor  # [N]
    weights: Tensor  # [N]
    next_sentence_labels: Tensor  # [B]


class PyTorchTrainer:
    """See `wholeword.core.contracts.Trainer`."""

    def __init__(
        self,
        *,
        config: BertConfig,
        weights: "Tensors",
        optimizer: "Optimizer",
        next_sentence: bool,
        clip_norm: float,
        computing: Computing,
        trainable: Collection[str] | None = None,
    ):
        """What is not `trainable` keeps its values, has no gradient and no dropout (see `wholeword.core.contracts.Backend`)."""
        self.config, self.next_sentence, self.clip_norm = config, next_sentence, clip_norm
        self.computing, self.device = computing, computing.device
        self.model = build_model(config, self.device)
        transformers_names = names("transformers", num_hidden_layers=config.num_hidden_layers)
        self.parameters = {name: self.model.get_parameter(other) for name, other in transformers_names.items()}
        fill(self.parameters, weights, kind="weights")
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(trainable is None or name in trainable)
        self.trained = {name: parameter for name, parameter in self.parameters.items() if parameter.requires_grad}
        self.trains_encoder = any(name.startswith("bert/") for name in self.trained)
        self.optimizer = build_kernel(optimizer, self.trained)
        self.interruption = Interruption()

    def train_steps(self, batches: Iterable[Batch], *, learning_rates: Sequence[float], seeds: Sequence[int]) -> list[dict[str, float]]:
        """As the interface says. A step whose gradient is not finite changes nothing, nor does any after it; its metrics are the last."""
        self.model.train()
        self.model.bert.train(self.trains_encoder)
        counts = []  # are known here; what is measured stays on the device until the end

        def backward(batch: Batch) -> Tensor:
            weights = batch["masked_lm_weights"]
            counts.append((float(weights.sum()), float(np.count_nonzero(weights)), float(len(weights))))
            return self._backward(batch)

        measured = take_steps(
            backward, batches, learning_rates, seeds, parameters=self.trained, optimizer=self.optimizer, clip_norm=self.clip_norm
        )
        metrics = []
        for (total_weight, mlm_count, nsp_count), values in zip(counts, measured, strict=False):  # a step that was skipped is the last
            mlm_sum, mlm_correct, nsp_sum, nsp_correct, grad_norm = values
            mlm_loss, nsp_loss = mlm_sum / (total_weight or 1.0), nsp_sum / nsp_count
            metrics.append({"loss": mlm_loss + nsp_loss, "mlm_loss": mlm_loss, "mlm_correct": mlm_correct, "mlm_count": mlm_count})
            if self.next_sentence:
                metrics[-1] |= {"nsp_loss": nsp_loss, "nsp_correct": nsp_correct, "nsp_count": nsp_count}
            metrics[-1]["grad_norm"] = grad_norm
        return metrics

    def _backward(self, batch: Batch) -> Tensor:
        """Set the gradients of the step's loss; return the sums of MLM loss, MLM hits, NSP loss and NSP hits, float32 [4]."""
        self.model.zero_grad()
        # subtle: Google divides by the sum + 1e-5; this is the sum itself, and 1 for a batch without predictions, whose MLM loss is 0
        total_weight, num_rows = float(batch["masked_lm_weights"].sum()) or 1.0, len(batch["input_ids"])
        sums = torch.zeros(4, device=self.device)
        for micro in self._micro_batches(batch):
            self.interruption.check()
            embedded, mlm_logits, nsp_logits = self._forward(micro)
            mlm_sum = (F.cross_entropy(mlm_logits, micro.labels, reduction="none") * micro.weights).sum()
            loss, parts = mlm_sum / total_weight, [mlm_sum, num_hits(mlm_logits, micro.labels)]
            if nsp_logits is not None:
                nsp_sum = F.cross_entropy(nsp_logits, micro.next_sentence_labels, reduction="sum")
                loss, parts = loss + nsp_sum / num_rows, [*parts, nsp_sum, num_hits(nsp_logits, micro.next_sentence_labels)]
            torch.autograd.backward(loss)
            # subtle: the lookup stands outside of autograd, which would fill and add a whole [vocab_size, hidden_size] for these few rows
            words = self.parameters["bert/embeddings/word_embeddings"]
            if words.requires_grad:
                assert words.grad is not None and embedded.grad is not None
                words.grad.index_add_(0, micro.ids.flatten(), embedded.grad.flatten(0, 1))
            sums[: len(parts)] += torch.stack(parts).detach()
        return sums

    def _forward(self, micro: MicroBatch) -> tuple[Tensor, Tensor, Tensor | None]:
        """The looked-up embeddings [B, L, hidden], the MLM logits [N, vocab_size] and the NSP logits [B, 2], the logits in float32."""
        words = self.parameters["bert/embeddings/word_embeddings"]
        embedded = F.embedding(micro.ids, words.detach()).requires_grad_(torch.is_grad_enabled() and words.requires_grad)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.computing.bf16):
            output = self.model.bert(inputs_embeds=embedded, attention_mask=micro.mask, token_type_ids=micro.segments)
            mlm_logits = self.model.cls.predictions(output.last_hidden_state.flatten(0, 1).index_select(0, micro.positions))
            nsp_logits = self.model.cls.seq_relationship(output.pooler_output) if self.next_sentence else None
        return embedded, mlm_logits.float(), None if nsp_logits is None else nsp_logits.float()

    def _micro_batches(self, batch: Batch) -> Iterator[MicroBatch]:
        """Cut a batch into micro batches, the longest rows first. Padding stands at the end of a row."""
        lengths = batch["input_mask"].sum(1)
        order = np.argsort(-lengths, kind="stable")
        size = self.computing.rows_at_once(self.config, batch["input_ids"].shape[1])
        multiple = 1 if self.device.type == "cpu" else 64  # a few shapes that come back suit the memory allocator of a GPU
        for rows in np.split(order, range(size, len(order), size)):
            length = min(-(-lengths[rows].max() // multiple) * multiple, batch["input_ids"].shape[1])
            row, slot = np.nonzero(batch["masked_lm_weights"][rows])
            mask = np.arange(length) < lengths[rows, None]
            yield MicroBatch(
                rows=rows,
                slots=(rows[row], slot),
                ids=self._tensor(batch["input_ids"][rows, :length]),
                segments=self._tensor(batch["segment_ids"][rows, :length]),
                mask=None if mask.all() else self._tensor(mask[:, None, None, :]),
                positions=self._tensor(row * length + batch["masked_lm_positions"][rows[row], slot]),
                labels=self._tensor(batch["masked_lm_ids"][rows[row], slot].astype(np.int64)),
                weights=self._tensor(batch["masked_lm_weights"][rows[row], slot]),
                next_sentence_labels=self._tensor(batch["next_sentence_labels"][rows].astype(np.int64)),
            )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return to_device(array, self.device)

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> dict[str, np.ndarray]:
        """As the interface says; slots of weight 0 hold 0 and False."""
        self.model.eval()
        slots, num_rows = batch["masked_lm_ids"].shape, len(batch["input_ids"])
        results: dict[str, np.ndarray] = {"mlm_loss": np.zeros(slots, np.float32), "mlm_correct": np.zeros(slots, bool)}
        if self.next_sentence:
            results |= {"nsp_loss": np.zeros(num_rows, np.float32), "nsp_correct": np.zeros(num_rows, bool)}
        for micro in self._micro_batches(batch):
            _, mlm_logits, nsp_logits = self._forward(micro)
            results["mlm_loss"][micro.slots] = F.cross_entropy(mlm_logits, micro.labels, reduction="none").cpu()
            results["mlm_correct"][micro.slots] = (mlm_logits.argmax(-1) == micro.labels).cpu()
            if nsp_logits is not None:
                results["nsp_loss"][micro.rows] = F.cross_entropy(nsp_logits, micro.next_sentence_labels, reduction="none").cpu()
                results["nsp_correct"][micro.rows] = (nsp_logits.argmax(-1) == micro.next_sentence_labels).cpu()
        return results

    @torch.no_grad()
    def predict(self, batch: Batch, top: int) -> tuple[np.ndarray, np.ndarray]:
        """As the interface says; slots of weight 0 hold 0."""
        self.model.eval()
        shape = (*batch["masked_lm_ids"].shape, top)
        ids, probabilities = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        for micro in self._micro_batches(batch):
            best = self._forward(micro)[1].softmax(-1).topk(top)
            ids[micro.slots], probabilities[micro.slots] = best.indices.cpu(), best.values.cpu()
        return ids, probabilities

    def weights(self) -> "Tensors":
        """Copies, by canonical name in canonical layout."""
        return {name: to_canonical(parameter, name) for name, parameter in self.parameters.items()}

    def optimizer_state(self) -> "Tensors":
        """Copies of the optimizer's state, in the layouts of their tensors."""
        return self.optimizer.state()

    def load(self, weights: "Tensors", optimizer_state: "Tensors") -> None:
        """Raises: UserError if they are those of another model or optimizer."""
        fill(self.parameters, weights, kind="weights")
        self.optimizer.load(optimizer_state)

    def interrupt(self) -> None:
        """See `wholeword.core.contracts.InterruptibleTrainer`."""
        self.interruption.request()

    def reset_optimizer(self) -> None:
        """As the contract says."""
        self.optimizer.reset()
