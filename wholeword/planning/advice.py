"""Advice on a recipe's choices from the literature and the maintainers: part of `wholeword check`, each item with its source.

Mistakes stop a recipe (`core/config/checks.py`); this is about what is possible but seldom works well. A rule is a function that yields
`Advice`. Some rules need the recipe only, others what the corpus holds or the vocabulary, and apply where these are known.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from wholeword.core.config.checks import HIGH_LR
from wholeword.core.config.job import Job
from wholeword.core.contracts import BertConfig
from wholeword.core.data.examples import PAIRS
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary
from wholeword.planning.plan import Plan

WWM = "ymcui/Chinese-BERT-wwm"
PUBLISHED_LR = 1e-4  # of BERT-wwm and RoBERTa-wwm-ext, which continue from BERT with large batches (#28, #72)
PUBLISHED_TOKENS = 384 * 512  # in one of their steps
PUBLISHED_WIDTH = 768
FAR = 4  # times a rule of thumb
MOST_REPEATS = 64
MANY_STEPS = 200  # of a phase; nobody trains a model in fewer
CAPITAL, SMALL = re.compile("[A-Z]"), re.compile("[a-z]")


class Advice(NamedTuple):
    """Advice on one setting."""

    setting: str
    message: str
    source: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.message} ({self.source})"

    def plain(self) -> dict[str, str]:
        """For JSON."""
        return {"setting": self.setting, "said": self.message, "source": self.source}


# --- rules on the recipe alone


def low_rate_for_trained_weights(job: Job, config: BertConfig) -> Iterator[Advice]:
    """A learning rate far above those that released models continued with; from `HIGH_LR` on, the recipe itself warns."""
    if job.model.init is None or job.model.freeze or job.optimizer.name != "adamw":
        return
    for number, phase in enumerate(job.phases):
        limit = PUBLISHED_LR * _rate_factor(config)
        if limit < phase.peak_lr < HIGH_LR:
            message = (
                f"{phase.peak_lr:g} to continue from trained weights; released models continued at about 1e-5, and none above {limit:g}"
            )
            yield Advice(f"phases.{number}.peak_lr", message, f"{WWM}#72, #227, #232")


def rate_for_the_batch(job: Job, config: BertConfig) -> Iterator[Advice]:
    """The learning rate of large batches with small ones."""
    if job.optimizer.name != "adamw" or config.hidden_size < PUBLISHED_WIDTH or job.model.freeze:
        return
    for number, phase in enumerate(job.phases):
        tokens = phase.batch_size * phase.max_seq_length
        fitting = PUBLISHED_LR * (tokens / PUBLISHED_TOKENS) ** 0.5
        if tokens < PUBLISHED_TOKENS and phase.peak_lr > FAR * fitting:
            message = (
                f"{phase.peak_lr:g} suits steps of {PUBLISHED_TOKENS:,} tokens, but these have {tokens:,}; use about {fitting:.1g} (scaled "
                "by the square root), or a larger batch_size, which backend.micro_batch_size computes in parts"
            )
            yield Advice(f"phases.{number}.peak_lr", message, f"Malladi et al. 2022, arXiv:2205.10287; {WWM}#34, #41")


def warm_up(job: Job, config: BertConfig) -> Iterator[Advice]:
    """No warm-up."""
    for number, phase in enumerate(job.phases):
        if phase.warmup_steps == 0 and phase.steps >= MANY_STEPS and not job.model.freeze:
            message = f"no warm-up, without which BERT's post-norm layers often diverge; a tenth is usual: {phase.steps // 10:,}"
            yield Advice(f"phases.{number}.warmup_steps", message, f"Xiong et al. 2020, arXiv:2002.04745; {WWM}#28")


def words_are_words(job: Job, config: BertConfig) -> Iterator[Advice]:
    """Whole words of single characters."""
    if job.prepare.segmenter.name == "characters" and job.rows.masking.name != "wordpiece":
        name = job.prepare.segmenter.name
        message = (
            f"{name} makes every Chinese character a word, so that {job.rows.masking.name} masks single pieces; jieba and ltp find words"
        )
        yield Advice("segmenter", message, "README of ymcui/Chinese-BERT-wwm")


def first_values_for_the_width(job: Job, config: BertConfig) -> Iterator[Advice]:
    """A narrow model whose first weights are small."""
    width, deviation = config.hidden_size, config.initializer_range
    if job.model.init is None and width <= 256 and deviation * width**0.5 < 0.5:
        message = (
            f"{deviation:g} is small for a width of {width}: such a model predicts piece frequencies for long; use about "
            f"1/sqrt(hidden_size) = {width**-0.5:.2g}"
        )
        yield Advice("model.initializer_range", message, "measured: quickstart.yaml")


# --- rules on recipe and corpus


def documents_have_pairs(job: Job, plan: Plan) -> Iterator[Advice]:
    """Pairs of sentences from documents with a single one."""
    sentences = plan.num_sentences / max(plan.num_documents, 1)
    if job.rows.examples in PAIRS and sentences < 2:
        message = (
            f"{job.rows.examples} of documents with {sentences:.2g} sentences on average; a document with a single "
            "sentence gives no true pair"
        )
        yield Advice("examples", message, "google-research/bert, create_pretraining_data.py: then B is always random")


def masks_are_new(job: Job, plan: Plan) -> Iterator[Advice]:
    """The same masks in every epoch."""
    epochs = sum(phase.epochs for phase in plan.phases)
    if not job.rows.dynamic and job.rows.dupe_factor == 1 and epochs >= 2:
        message = (
            f"1 without dynamic masking: {epochs:,.0f} epochs with the same masks; set dupe_factor: 5 (HFL) or "
            "10 (Google), or dynamic: true"
        )
        yield Advice("masking.dupe_factor", message, f"{WWM}#28; Liu et al. 2019, arXiv:1907.11692, section 4.1")


def text_is_repeated(job: Job, plan: Plan) -> Iterator[Advice]:
    """Very many epochs."""
    epochs = sum(phase.epochs for phase in plan.phases)
    if epochs > MOST_REPEATS:
        message = f"{epochs:,.0f} epochs; repeating text {MOST_REPEATS} times costs little, 256 times much: use fewer steps or more text"
        yield Advice("phases", message, "Raffel et al. 2020, arXiv:1910.10683, section 3.4.2")


# --- rules on recipe and vocabulary


def case_fits_the_vocabulary(job: Job, vocabulary: Vocabulary) -> Iterator[Advice]:
    """Cased text with an uncased vocabulary, or the reverse."""
    ordinary = set(vocabulary.pool("no-special").tolist())
    pieces = [piece for number, piece in enumerate(vocabulary.pieces) if number in ordinary and "<" not in piece]
    capitals, small = (sum(bool(kind.search(piece)) for piece in pieces) for kind in (CAPITAL, SMALL))
    if not job.prepare.tokenizer.lowercase and not capitals and small:
        message = "false, but no piece of the vocabulary has a capital letter: every capitalised word becomes [UNK]"
        yield Advice("tokenizer.lowercase", message, f"{WWM}#163")
    if job.prepare.tokenizer.lowercase and capitals > small / 10:
        message = f"true, but {capitals:,} pieces of the vocabulary have capital letters and would never be used"
        yield Advice("tokenizer.lowercase", message, "google-research/bert, README: do_lower_case is False for cased models")


def random_pieces_are_live(job: Job, vocabulary: Vocabulary) -> Iterator[Advice]:
    """Random replacements that occur in no text."""
    parameters = registry.parameters("masking", job.rows.masking.name)
    pool = job.rows.masking.settings.get("random_pool", parameters["random_pool"].default if "random_pool" in parameters else None)
    num_dead = len(vocabulary) - len(vocabulary.pool("live"))
    if pool == "all" and num_dead > len(vocabulary) / 10:
        message = (
            f"all, as in Google's code: {num_dead / len(vocabulary):.0%} of the pieces (## before a Chinese character, [unused]) occur in "
            "no text; live draws from the others"
        )
        yield Advice("masking.random_pool", message, "measured: 7,322 of 21,128 of BERT-base Chinese")


RECIPE_RULES: tuple[Callable[[Job, BertConfig], Iterator[Advice]], ...] = (
    low_rate_for_trained_weights,
    rate_for_the_batch,
    warm_up,
    words_are_words,
    first_values_for_the_width,
)
CORPUS_RULES: tuple[Callable[[Job, Plan], Iterator[Advice]], ...] = (documents_have_pairs, masks_are_new, text_is_repeated)
VOCABULARY_RULES: tuple[Callable[[Job, Vocabulary], Iterator[Advice]], ...] = (case_fits_the_vocabulary, random_pieces_are_live)


def advise(job: Job, config: BertConfig, *, plan: Plan | None = None, vocabulary: Vocabulary | None = None) -> list[Advice]:
    """All advice on a recipe.

    Args:
        config: see `planned_config`.
        plan, vocabulary: where they are known; rules that need them are skipped otherwise.
    """
    advice = [item for rule in RECIPE_RULES for item in rule(job, config)]
    if plan is not None:
        advice += [item for rule in CORPUS_RULES for item in rule(job, plan)]
    if vocabulary is not None:
        advice += [item for rule in VOCABULARY_RULES for item in rule(job, vocabulary)]
    return advice


def _rate_factor(config: BertConfig) -> float:
    """How much higher a learning rate a narrow model tolerates, at least 1.

    Source: Yang et al. 2022, arXiv:2203.03466 (Adam: as 1/width).
    """
    return max(1.0, PUBLISHED_WIDTH / config.hidden_size)
