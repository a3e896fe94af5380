"""What a plugin's object must look like, by kind. Nothing here needs to be inherited from.

A plugin registers `name -> "module:object"` (see `hookspecs.py`). The object is called with keyword arguments when a recipe
names it: its annotated keyword-only signature is the schema of its section in the recipe.
"""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np

    from wholeword.core.contracts.tasks import Example
    from wholeword.core.vocabulary import Vocabulary
    from wholeword.finetuning.rows import Rows

    Array = np.ndarray
    Tensors = dict[str, np.ndarray]  # canonical name -> array; names and layouts are those of Google's checkpoints


Head = Literal["classification", "span", "tagging"]  # what fine-tuning puts on top of an encoder


class Cleaner(Protocol):
    """Changes lines of a corpus before they are cut into sentences.

    Optional: an attribute `version: str`, for the store's manifest: another version is other cleaning. A setting annotated `Path` starts
    from the recipe's folder, and what it leads to decides the store's content.
    """

    def clean(self, lines: Sequence[str]) -> Sequence[str]:
        """One line for each, in the same order; an empty one where nothing is left. No line feed may be in it; there is none in `lines`.

        What becomes of a line depends on that line alone: a long document comes in parts.
        """
        ...


class Segmenter(Protocol):
    """Cuts sentences into words.

    Optional: an attribute `version: str`, for the store's manifest, and because text that another version has segmented is segmented anew;
    `worth_keeping = False` if segmenting is as quick as reading what was segmented before; where a sentence holds more than its text (such
    as blanks between words), a method `split(sentences) -> iterable of (text, words)` that is asked instead of `segment`; and, if it never
    alters text and is quicker with many sentences at once, a method `word_starts(text) -> bool [num_characters]` (see `find_words`). A
    setting annotated `Path` starts from the recipe's folder, and what it leads to decides the store's content.
    """

    def segment(self, sentences: Sequence[str]) -> Iterable[list[str]]:
        """One list of words a sentence, in the same order.

        `"".join(words) == sentence` is the fast case. Where it does not hold, the framework walks the original text and falls
        back to single characters for the span that does not match. Segmenters never see or produce token ids.
        """
        ...


class Masked(NamedTuple):
    """What a masking strategy returns."""

    input_ids: "Array"  # [batch, length], the ids with [MASK], kept or random pieces in the chosen places
    chosen: "Array"  # bool [batch, length], the places to predict


class MaskingStrategy(Protocol):
    """Chooses what to predict in a batch. A pure function: equal arguments give equal results.

    Optional: a method `bind(tokenizer)`, called once before the first batch, for strategies that know text (a
    `wholeword.core.data.tokenizer.WordPieceTokenizer`, whose `vocabulary` is that of the rows). A setting annotated `Path` starts from the
    recipe's folder, and what it leads to decides the rows.
    """

    def mask(
        self,
        ids: "Array",
        word_starts: "Array",
        candidates: "Array",
        sample_ids: "Array",
        *,
        seed: int,
        pass_number: int,
        max_predictions: int,
        vocabulary: "Vocabulary",
    ) -> Masked:
        """Mask one batch.

        Args:
            ids: integers [batch, length].
            word_starts: bool [batch, length], True where a word begins.
            candidates: bool [batch, length], False at [CLS], [SEP] and padding: never chosen, and every word ends there.
            sample_ids: uint64 [batch], what makes a row's draws its own, whatever batch it stands in.
            pass_number: how often the corpus has been gone through.
            max_predictions: most places to choose in a row.
        """
        ...


class Optimizer(Protocol):
    """Turns gradients into updates; one reference in NumPy, one implementation a framework."""

    def reference(self) -> Any:
        """The NumPy implementation: `step(parameters, gradients, learning_rate)` on dicts of arrays, in place."""
        ...

    def build(self, framework: str, named_parameters: Any) -> Any:
        """The framework's own optimizer over (canonical name, parameter) pairs."""
        ...


class Trainer(Protocol):
    """One model in training on one framework. Knows tensors and nothing of text."""

    def train_steps(
        self, batches: Iterable[Mapping[str, "Array"]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """Do one optimizer step a batch.

        Args:
            batches: the seven features of `wholeword.core.data.batches`, one whole step each (split further by the trainer).
            learning_rates, seeds: one a step (it ends with the batches); the seed drives dropout, so that nothing random is saved.
        Returns: per step `loss`, `mlm_loss`, `nsp_loss` (NSP only), `mlm_correct`, `mlm_count`, `nsp_correct`, `nsp_count`, `grad_norm`.
        """
        ...

    def evaluate(self, batch: Mapping[str, "Array"]) -> dict[str, "Array"]:
        """Per prediction, [batch, predictions]: `mlm_loss` float, `mlm_correct` bool; with NSP also `nsp_loss`, `nsp_correct` [batch]."""
        ...

    def predict(self, batch: Mapping[str, "Array"], top: int) -> tuple["Array", "Array"]:
        """The `top` most likely ids and their probabilities, [batch, predictions, top] each."""
        ...

    def weights(self) -> "Tensors": ...

    def optimizer_state(self) -> "Tensors": ...

    def load(self, weights: "Tensors", optimizer_state: "Tensors") -> None: ...

    def reset_optimizer(self) -> None:
        """Forget the moments: a new phase is a fresh run over the same weights."""
        ...


class RowSource(Protocol):
    """The batches of one phase, with the features of `wholeword.core.data.batches`."""

    has_next_sentence: bool

    def batch(self, step: int) -> "Mapping[str, Array]":
        """The whole batch of a step, counted from 0."""
        ...

    def batches(self, first_step: int, end_step: int, *, workers: int = 1) -> "Generator[Mapping[str, Array], None, None]":
        """The batches of some steps in order; with several hosts this one's rows of each, `[host::number of hosts]`."""
        ...


class Backend(Protocol):
    """Starts a `Trainer`; its own settings (device, precision, ...) come from the recipe's `backend` section.

    Optional: a method `hosts()` that returns the `wholeword.core.training.hosts.Hosts` of the run, if it can train on several machines. Then
    `train_steps`, `load` and `reset_optimizer` are called on every host, with its rows of each batch and for figures of all; `evaluate`,
    `predict`, `weights` and `optimizer_state` on the chief alone. And a method `rows(**arguments)`, with those of
    `wholeword.core.training.sources.record_arguments`, that returns a `RowSource` to train on in place of the store, or None.

    Optional: a method `start_finetuning(*, config, weights, head, optimizer, clip_norm) -> FineTuner`, if it can fine-tune; `weights` hold
    at least what `FineTuner.weights` returns, and `head` is a `Head`.
    """

    def start(
        self,
        *,
        config: Mapping[str, Any],
        weights: "Tensors",
        optimizer: Optimizer,
        next_sentence: bool,
        clip_norm: float,
        trainable: Collection[str] | None = None,
    ) -> Trainer:
        """Put a model on the device.

        Args:
            config: the keys of `bert_config.json`.
            weights: complete for it.
            trainable: names of the tensors to train, all by default; the others stay as they are, to the bit, and have no slots. Given
                only if a recipe says `model.freeze`.
        """
        ...


class FineTuner(Protocol):
    """One model in fine-tuning on one framework."""

    def train_steps(
        self, batches: Iterable[Mapping[str, "Array"]], *, learning_rates: Sequence[float], seeds: Sequence[int]
    ) -> list[dict[str, float]]:
        """Do one optimizer step a batch; what it does does not depend on how the backend splits a batch, but for rounding and dropout.

        Args:
            batches: what `wholeword.finetuning.rows.Rows.batch` returns. The loss is the mean over the rows (classification), over rows,
                begins and ends (span), or over the places that have a tag (tagging).
            learning_rates, seeds: one a step (it ends with the batches); the seed drives dropout.
        Returns: per step `loss`, `correct`, `count` (of rows or tags), `grad_norm`.
        """
        ...

    def logits(self, rows: "Rows") -> "Array":
        """float32, what `wholeword.finetuning.decode.decode` asks for: [num_rows, num_labels], or [num_pieces, num_labels]."""
        ...

    def weights(self) -> "Tensors":
        """The encoder, its pooler where the head uses it, and the head."""
        ...

    def optimizer_state(self) -> "Tensors": ...

    def load(self, weights: "Tensors", optimizer_state: "Tensors") -> None: ...


class ModelFiles(NamedTuple):
    """A model between frameworks: what exporters get and zoo sources give."""

    config: dict[str, Any]  # the keys of bert_config.json
    weights: "Tensors"
    vocabulary: "Vocabulary"
    lowercase: bool
    next_sentence: bool  # whether the NSP head was trained
    provenance: dict[str, Any]  # recipe, versions, figures; for the model card; `missing` and `slots` are of the files read
    head: Head | None = None  # of a fine-tuned model, whose weights are those of a `FineTuner`
    labels: Sequence[str] = ()  # what that head chooses from


class Exporter(Protocol):
    def export(self, model: ModelFiles, folder: Path) -> None:
        """Write the model's files into `folder`, which exists and is empty; the caller makes the result appear atomically."""
        ...


class ZooSource(Protocol):
    """A place that models are read from. The one called `zoo` is what `zoo:NAME` in recipes asks; it also has `vocabulary(location)` and,
    without network, `config(location)`.
    """

    def read(self, location: str) -> ModelFiles: ...


class Task(Protocol):
    """A downstream task: original files -> examples, and predictions -> figures.

    Its settings come from the recipe's `task` section, among them `data: Path`, the folder (or file) that the user has. Tasks never see
    ids: `wholeword.finetuning.rows` turns examples into rows, `wholeword.finetuning.decode` logits into predictions.
    """

    head: Head
    labels: Sequence[str]  # what the head chooses from, in the order of its outputs; empty for `span`
    metrics: Sequence[str]  # keys of `score` that tables show, the one to choose by first
    defaults: Mapping[str, Any]  # learning_rate, batch_size, epochs, max_seq_length, warmup_rate; span and long texts: doc_stride
    notes: list[str]  # what was odd in the files read so far, one line each

    @property
    def splits(self) -> Sequence[str]:
        """The splits whose files are there, of "train", "dev", "test" and whatever else the task has."""
        ...

    def read(self, split: str) -> "list[Example]":
        """The examples of one split, in the file's order, ids all different.

        Raises: UserError in one line (where, what was found, what was expected, where the file comes from) if it is missing or wrong.
        """
        ...

    def score(self, examples: "Sequence[Example]", predictions: Mapping[str, Any]) -> dict[str, float]:
        """Compare predictions with the labels of examples.

        Args:
            predictions: id -> label, answer text or list of tags; an id that is missing counts as wrong.
        Returns: figures in percent, those of `metrics` among them; counts are spelt in capitals (TOTAL, SKIP).
        """
        ...
