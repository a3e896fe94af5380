"""What the literature and the maintainers say of a recipe's choices: the advice of `wholeword check`, each line with its source.

Mistakes stop a recipe (`core/config/checks.py`); here is what can be done and seldom ends well. A rule is a function that gives
(setting, what is said, source); it takes what it needs by name: `recipe`, `config` (a BertConfig), and, where text has
been counted, `plan` and `vocabulary`.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from wholeword.core.config.checks import HIGH_LR
from wholeword.core.config.locations import read_config
from wholeword.core.config.recipe import Recipe
from wholeword.core.contracts import BertConfig
from wholeword.core.data.examples import PAIRS
from wholeword.core.errors import WholewordError
from wholeword.core.registry.registry import registry
from wholeword.core.vocabulary import Vocabulary

if TYPE_CHECKING:
    from wholeword.planning.plan import Plan

WWM = "ymcui/Chinese-BERT-wwm"
PUBLISHED_LR = 1e-4  # of BERT-wwm and RoBERTa-wwm-ext, which go on from BERT with large batches (#28, #72)
PUBLISHED_TOKENS = 384 * 512  # of a step of theirs
PUBLISHED_WIDTH = 768
FAR = 4  # times a rule of thumb
MOST_REPEATS = 64
MANY_STEPS = 200  # of a phase; in fewer nobody trains a model
CAPITAL, SMALL = re.compile("[A-Z]"), re.compile("[a-z]")


class Advice(NamedTuple):
    setting: str
    said: str
    source: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.said} ({self.source})"


Findings = Iterator[tuple[str, str, str]]

# --- of the recipe alone


def low_rate_for_trained_weights(recipe: Recipe, config: BertConfig) -> Findings:
    """From a thousandth on the recipe warns by itself."""
    if recipe.model.init_folder is None or recipe.model.freeze or recipe.optimizer.name != "adamw":
        return
    for number, phase in enumerate(recipe.phases):
        limit = PUBLISHED_LR * _narrower(config)
        if limit < phase.peak_lr < HIGH_LR:
            said = f"{phase.peak_lr:g} to go on from trained weights; released models go on at about 1e-5, and none did at over {limit:g}"
            yield f"phases.{number}.peak_lr", said, f"{WWM}#72, #227, #232"


def rate_for_the_batch(recipe: Recipe, config: BertConfig) -> Findings:
    if recipe.optimizer.name != "adamw" or config.hidden_size < PUBLISHED_WIDTH or recipe.model.freeze:
        return
    for number, phase in enumerate(recipe.phases):
        tokens = phase.batch_size * phase.max_seq_length
        fitting = PUBLISHED_LR * (tokens / PUBLISHED_TOKENS) ** 0.5
        if tokens < PUBLISHED_TOKENS and phase.peak_lr > FAR * fitting:
            said = f"{phase.peak_lr:g} suits steps of {PUBLISHED_TOKENS:,} tokens, and these have {tokens:,}; by the square root about "
            said += f"{fitting:.1g}, or a larger batch_size, which backend.micro_batch_size computes in parts"
            yield f"phases.{number}.peak_lr", said, f"Malladi et al. 2022, arXiv:2205.10287; {WWM}#34, #41"


def warm_up(recipe: Recipe) -> Findings:
    for number, phase in enumerate(recipe.phases):
        if phase.warmup_steps == 0 and phase.steps >= MANY_STEPS and not recipe.model.freeze:
            said = f"no warm-up, without which BERT's layers, normalised behind, often diverge; a tenth is usual: {phase.steps // 10:,}"
            yield f"phases.{number}.warmup_steps", said, f"Xiong et al. 2020, arXiv:2002.04745; {WWM}#28"


def words_are_words(recipe: Recipe) -> Findings:
    if recipe.segmenter.name == "characters" and recipe.masking.name != "wordpiece":
        said = f"makes a word of every Chinese character, so that {recipe.masking.name} masks single pieces; jieba and ltp cut words"
        yield "segmenter", f"{recipe.segmenter.name} {said}", "README of ymcui/Chinese-BERT-wwm"


def first_values_for_the_width(recipe: Recipe, config: BertConfig) -> Findings:
    width, deviation = config.hidden_size, config.initializer_range
    if recipe.model.init_folder is None and width <= 256 and deviation * width**0.5 < 0.5:
        said = (
            f"{deviation:g} in a model {width} wide, which stays long at piece frequencies; about 1/sqrt(hidden_size) = {width**-0.5:.2g}"
        )
        yield "model.initializer_range", said, "measured: quickstart.yaml"


# --- of recipe and text


def documents_have_pairs(recipe: Recipe, plan: "Plan") -> Findings:
    sentences = plan.num_sentences / max(plan.num_documents, 1)
    if recipe.examples.name in PAIRS and sentences < 2:
        said = (
            f"{recipe.examples.name} of documents with {sentences:.2g} sentences on average; one with a single sentence gives no true pair"
        )
        yield "examples", said, "google-research/bert, create_pretraining_data.py: then B is always random"


def masks_are_new(recipe: Recipe, plan: "Plan") -> Findings:
    epochs = sum(phase.epochs for phase in plan.phases)
    if not recipe.masking.dynamic and recipe.masking.dupe_factor == 1 and epochs >= 2:
        said = f"1 without dynamic masking: {epochs:,.0f} epochs with the same masks; dupe_factor: 5 (HFL), 10 (Google), or dynamic: true"
        yield "masking.dupe_factor", said, f"{WWM}#28; Liu et al. 2019, arXiv:1907.11692, section 4.1"


def text_is_repeated(plan: "Plan") -> Findings:
    epochs = sum(phase.epochs for phase in plan.phases)
    if epochs > MOST_REPEATS:
        said = f"{epochs:,.0f} epochs; text repeated {MOST_REPEATS} times costs little, 256 times much: fewer steps, or more text"
        yield "phases", said, "Raffel et al. 2020, arXiv:1910.10683, section 3.4.2"


def case_fits_the_vocabulary(recipe: Recipe, vocabulary: Vocabulary) -> Findings:
    pieces = [piece for piece, ordinary in zip(vocabulary.pieces, _ordinary(vocabulary), strict=True) if ordinary and "<" not in piece]
    capitals, small = (sum(bool(kind.search(piece)) for piece in pieces) for kind in (CAPITAL, SMALL))
    if not recipe.tokenizer.lowercase and not capitals and small:
        said = "false, but no piece of the vocabulary has a capital letter: every word that begins with one becomes [UNK]"
        yield "tokenizer.lowercase", said, f"{WWM}#163"
    if recipe.tokenizer.lowercase and capitals > small / 10:
        said = f"true, but {capitals:,} pieces of the vocabulary have capital letters and would never be used"
        yield "tokenizer.lowercase", said, "google-research/bert, README: do_lower_case is False for cased models"


def random_pieces_are_live(recipe: Recipe, vocabulary: Vocabulary) -> Findings:
    parameters = registry.parameters("masking", recipe.masking.name)
    pool = recipe.masking.settings.get("random_pool", parameters["random_pool"].default if "random_pool" in parameters else None)
    num_dead = len(vocabulary) - len(vocabulary.pool("live"))
    if pool == "all" and num_dead > len(vocabulary) / 10:
        said = (
            f"all, as in Google's code: {num_dead / len(vocabulary):.0%} of the pieces (## before a Chinese character, [unused]) come in "
        )
        yield "masking.random_pool", f"{said}no text; live draws among the others", "measured: 7,322 of 21,128 of BERT-base Chinese"


def one_vocabulary_for_all(recipe: Recipe, vocabulary: Vocabulary) -> Findings:
    config = _init_config(recipe)
    if recipe.tokenizer.add is None and config is not None and config.vocab_size != len(vocabulary):
        said = f"{recipe.model.init_folder} has {config.vocab_size:,} pieces, tokenizer.vocab {len(vocabulary):,}: the run will refuse this"
        yield "model.init", said, "wholeword"


RULES: tuple[Callable[..., Findings], ...] = (
    low_rate_for_trained_weights,
    rate_for_the_batch,
    warm_up,
    words_are_words,
    first_values_for_the_width,
    documents_have_pairs,
    masks_are_new,
    text_is_repeated,
    case_fits_the_vocabulary,
    random_pieces_are_live,
    one_vocabulary_for_all,
)


def advise(recipe: Recipe, **known: Any) -> list[Advice]:
    """What is to be said of a recipe.

    Args:
        known: `config`, `plan`, `vocabulary`, as far as they are known; the rules that want another one are silent.
    """
    known = {"recipe": recipe} | {key: value for key, value in known.items() if value is not None}
    return [
        Advice(*finding)
        for rule in RULES
        if (wanted := inspect.signature(rule).parameters).keys() <= known.keys()
        for finding in rule(**{name: known[name] for name in wanted})
    ]


def _narrower(config: BertConfig) -> float:
    """How much higher rates a narrow model bears, at least 1. Source: Yang et al. 2022, arXiv:2203.03466 (Adam: as 1/width)."""
    return max(1.0, PUBLISHED_WIDTH / config.hidden_size)


def _ordinary(vocabulary: Vocabulary) -> list[bool]:
    ordinary = set(vocabulary.pool("no-special").tolist())
    return [number in ordinary for number in range(len(vocabulary))]


def _init_config(recipe: Recipe) -> BertConfig | None:
    if recipe.model.init_folder is None:
        return None
    try:
        return read_config(recipe.model.init_folder, recipe.base_folder)
    except WholewordError:
        return None
