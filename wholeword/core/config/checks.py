"""Checks of settings that are valid by themselves but not in combination.

The parameters of a check are the names of sections, and it runs if those are well-formed. It yields (key path, message) for each problem.
`base_folder` is the recipe's folder.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from wholeword.core.bert.config import model_config
from wholeword.core.config import recipe as models
from wholeword.core.config.fields import PluginSection
from wholeword.core.config.locations import read_config
from wholeword.core.config.sources import FOLDER, expect_known_source, expect_model, source_location
from wholeword.core.config.yaml import KeyPath
from wholeword.core.contracts import BertConfig
from wholeword.core.data.examples import PAIRS
from wholeword.core.data.masked_sentence import problem_of_masked
from wholeword.core.errors import UserError, WholewordError
from wholeword.core.registry.registry import registry

Problems = Iterator[tuple[KeyPath, str]]

DEFAULT_RATE = 0.15  # BERT's rate; for strategies without a setting `rate`
SMALL_LAMB_BATCH = 256
HIGH_LR = 1e-3  # HFL's maintainers: about 1e-5 to continue training a released model (ymcui/Chinese-BERT-wwm#72)


def needed_predictions(max_seq_length: int, masking: models.MaskingSection) -> int:
    """The largest number of positions per row that the masking rate can select."""
    rate: float = masking.settings.get("rate", DEFAULT_RATE)
    return max(1, round(max_seq_length * rate))


def with_predictions(recipe: models.Recipe) -> models.Recipe:
    """The recipe with `max_predictions` in every phase."""
    phases = [
        phase.model_copy(update={"max_predictions": phase.max_predictions or needed_predictions(phase.max_seq_length, recipe.masking)})
        for phase in recipe.phases
    ]
    return recipe.model_copy(update={"phases": phases})


# --- problems


def something_is_masked(masking: models.MaskingSection) -> Problems:
    if masking.settings.get("rate") == 0:
        yield ("masking", "rate"), "0 masks nothing; expected a rate over 0, such as 0.15"


def predictions_fit_the_row(phases: list[models.Phase], masking: models.MaskingSection) -> Problems:
    for number, phase in enumerate(phases):
        if phase.max_predictions > phase.max_seq_length:
            needed = needed_predictions(phase.max_seq_length, masking)
            message = (
                f"{phase.max_predictions} positions in a row of {phase.max_seq_length} pieces; expected about {needed}, or leave it out"
            )
            yield ("phases", number, "max_predictions"), message


def warmup_ends_within_its_phase(phases: list[models.Phase]) -> Problems:
    for number, phase in enumerate(phases):
        if phase.warmup_steps > phase.steps:
            usual = max(1, phase.steps // 10)
            message = f"{phase.warmup_steps:,} steps of warm-up in a phase of {phase.steps:,}; expected fewer, such as {usual:,}, a tenth"
            yield ("phases", number, "warmup_steps"), message


def rows_fit_the_positions(phases: list[models.Phase], model: models.ModelSection, base_folder: Path) -> Problems:
    initial = _initial_config(model, base_folder)
    if model.init_folder is not None and initial is None:
        return  # how many it has is not known here
    positions = initial.max_position_embeddings if initial else model.max_position_embeddings or 512  # of every named size
    which, hint = (model.init_folder, "") if initial else ("the model", ", or set model.max_position_embeddings")
    for number, phase in enumerate(phases):
        if phase.max_seq_length > positions:
            message = f"{phase.max_seq_length} pieces, but {which} has {positions} positions; expected at most {positions}{hint}"
            yield ("phases", number, "max_seq_length"), message


def _initial_config(model: models.ModelSection, base_folder: Path) -> BertConfig | None:
    """The configuration of the model to start from; None if there is none, or it cannot be read (which is reported before a run)."""
    if model.init_folder is None:
        return None
    try:
        return read_config(model.init_folder, base_folder)
    except WholewordError:
        return None


def model_has_a_shape(model: models.ModelSection) -> Problems:
    missing = [key for key in ("hidden_size", "num_hidden_layers", "num_attention_heads") if getattr(model, key) is None]
    if model.init_folder is None and model.size is None and missing:
        yield ("model",), f"neither size nor {', '.join(missing)}; expected a size, such as size: base, or these three numbers"
        return
    try:
        model_config(model.sizes(), vocab_size=1)
    except UserError as error:
        yield ("model", "hidden_size" if model.hidden_size else "num_attention_heads"), str(error).removeprefix("model.hidden_size: ")


def layers_match_the_model(model: models.ModelSection) -> Problems:
    if model.layers is None:
        return
    path = ("model", "init", "layers")
    if model.init_folder is None:
        yield path, "layers given for a randomly initialised model; add from: with a folder, or remove layers"
    size = model_config({"size": model.size}, vocab_size=1).num_hidden_layers if model.size else None
    num_hidden_layers = model.num_hidden_layers or size
    if num_hidden_layers is not None and len(model.layers) != num_hidden_layers:
        yield path, f"{len(model.layers)} layers given for a model with {num_hidden_layers}; expected one for each layer"


def frozen_weights_are_trained(model: models.ModelSection) -> Problems:
    if model.freeze is not None and model.init_folder is None:
        yield ("model", "freeze"), f"{model.freeze} of a randomly initialised model would stay random; add init: with a folder"
    if model.freeze is not None and model.init.pooler == "new":
        yield ("model", "init", "pooler"), f"new, but it would stay random with freeze: {model.freeze}; expected pooler: keep"


def next_sentence_has_two_segments(examples: models.ExamplesSection, model: models.ModelSection, base_folder: Path) -> Problems:
    if examples.name not in PAIRS:
        return
    if model.type_vocab_size == 1:
        yield ("model", "type_vocab_size"), f"1, but {examples.name} have two segments; expected 2, or examples: full-sentences"
    elif (initial := _initial_config(model, base_folder)) and initial.type_vocab_size < 2:
        message = f"{model.init_folder} has type_vocab_size 1, but {examples.name} have two segments; expected examples: full-sentences"
        yield ("model", "init"), message


def compatibility_is_all_or_nothing(compat: str | None, examples: models.ExamplesSection, masking: models.MaskingSection) -> Problems:
    if compat is None:
        return
    if examples.name != "nsp-pairs":
        yield ("examples", "name"), f"{examples.name} does not work with compat: {compat}; expected nsp-pairs, or remove compat"
    if masking.dynamic:
        yield ("masking", "dynamic"), f"true does not work with compat: {compat}; expected false and a dupe_factor, or remove compat"
    if masking.name not in ("whole-word", "wordpiece"):
        yield ("masking", "name"), f"{masking.name} does not work with compat: {compat}; expected whole-word or wordpiece, or remove compat"
        return
    parameters = registry.parameters("masking", masking.name)
    for key, value in masking.settings.items():
        if key != "rate" and value != parameters[key].default:
            yield ("masking", key), f"{value} does not work with compat: {compat}, which only supports rate; remove {key} or compat"


def corpus_settings_fit_the_format(corpus: models.CorpusSection) -> Problems:
    name = corpus.format.name
    unknown = corpus.model_fields_set - registry.parameters("corpus_format", name).keys()
    if "text_key" in unknown:
        yield ("corpus", "text_key"), f"only valid for format: jsonl, not {name}; remove it, or change the format"
    if "documents" in unknown:
        reason = "every line of jsonl is a document" if name == "jsonl" else f"{name} itself defines where a document ends"
        yield ("corpus", "documents"), f"{reason}; remove it"


def one_vocabulary(tokenizer: models.TokenizerSection) -> Problems:
    if tokenizer.vocab is None and tokenizer.train is None:
        yield ("tokenizer",), "neither vocab nor train; expected vocab: a vocab.txt, or train: a size such as 8000"
    if tokenizer.vocab is not None and tokenizer.train is not None:
        yield (
            ("tokenizer", "train"),
            "both vocab and train are given; keep one: vocab uses an existing vocabulary, train builds one from the corpus",
        )
    if tokenizer.train is None and "min_frequency" in tokenizer.model_fields_set:
        yield ("tokenizer", "min_frequency"), "only valid for a vocabulary to train; add train: with a size, or remove min_frequency"


def pieces_are_added_to_a_vocabulary(tokenizer: models.TokenizerSection) -> Problems:
    if tokenizer.add is not None and tokenizer.vocab is None:
        yield ("tokenizer", "add"), "pieces cannot be added to a vocabulary to train; use vocab: with a vocab.txt or zoo:NAME"
    if tokenizer.reuse_unused and tokenizer.add is None:
        yield ("tokenizer", "reuse_unused"), "true, but no pieces are added; add the setting add:, or remove reuse_unused"


def the_zoo_has_it(tokenizer: models.TokenizerSection, model: models.ModelSection, base_folder: Path) -> Problems:
    for path, location in ((("tokenizer", "vocab"), tokenizer.vocab), (("model", "init"), model.init_folder)):
        if location is not None:
            try:
                if (source := source_location(location)) is None:
                    expect_known_source(location, base_folder / location)
                elif source.source != FOLDER:
                    expect_model(source)
            except WholewordError as error:
                yield path, str(error)


def evaluation_has_documents(evaluation: models.EvaluationSection) -> Problems:
    if evaluation.held_out_rate == 0:
        for key in ("every", "maskings"):
            if getattr(evaluation, key):
                yield ("evaluation", key), "no documents are held out to evaluate on; set evaluation.held_out_rate, for example to 0.01"


def sentences_have_a_mask(evaluation: models.EvaluationSection) -> Problems:
    for number, sentence in enumerate(evaluation.fill_mask):
        if "[MASK]" not in sentence:
            yield ("evaluation", "fill_mask", number), f"no [MASK] in {sentence!r}; expected one [MASK] for each piece to fill in"
        elif problem := problem_of_masked(sentence):
            yield ("evaluation", "fill_mask", number), f"{sentence!r}: {problem}"


def exporters_are_named_once(export: list[models.BriefSection]) -> Problems:
    names = [exporter.name for exporter in export]
    for name, count in Counter(names).items():
        if count > 1:
            yield ("export", len(names) - 1 - names[::-1].index(name)), f"{name!r} appears {count} times; keep one"


def output_is_not_read(corpus: models.CorpusSection, output: str, store: str, base_folder: Path) -> Problems:
    """A run writes text (vocab.txt, log.jsonl) that a pattern of the corpus must not match when it is resumed."""
    for pattern in corpus.files:
        path = Path(os.path.abspath(base_folder / pattern))
        fixed = next(parent for parent in path.parents if not any(wild in str(parent) for wild in "*?["))
        for key, folder in (("output", Path(os.path.abspath(output))), ("store", Path(os.path.abspath(store)))):
            if folder in (path, fixed) or ("**" in pattern and folder.is_relative_to(fixed)):
                yield (
                    (key,),
                    f"the corpus pattern {pattern!r} would match files that the run writes to {folder.name!r}; choose another folder",
                )
                return


PROBLEMS: tuple[Callable[..., Problems], ...] = (
    something_is_masked,
    predictions_fit_the_row,
    warmup_ends_within_its_phase,
    rows_fit_the_positions,
    model_has_a_shape,
    layers_match_the_model,
    frozen_weights_are_trained,
    next_sentence_has_two_segments,
    compatibility_is_all_or_nothing,
    corpus_settings_fit_the_format,
    one_vocabulary,
    pieces_are_added_to_a_vocabulary,
    the_zoo_has_it,
    evaluation_has_documents,
    sentences_have_a_mask,
    exporters_are_named_once,
    output_is_not_read,
)

# --- warnings


def lamb_has_a_large_batch(optimizer: PluginSection, phases: list[models.Phase]) -> Problems:
    for number, phase in enumerate(phases):
        if optimizer.name == "lamb" and phase.batch_size < SMALL_LAMB_BATCH:
            message = (
                f"{phase.batch_size} is a small batch for lamb, which is designed for {SMALL_LAMB_BATCH} or more; consider optimizer: adamw"
            )
            yield ("phases", number, "batch_size"), message


def trained_weights_have_a_low_rate(model: models.ModelSection, phases: list[models.Phase]) -> Problems:
    for number, phase in enumerate(phases):
        if model.init_folder is not None and model.freeze is None and phase.peak_lr >= HIGH_LR:
            message = f"{phase.peak_lr:g} is likely to destroy the weights of {model.init_folder!r}; continue released models at about 1e-5"
            yield ("phases", number, "peak_lr"), message


def pairs_have_two_sentences(corpus: models.CorpusSection, examples: models.ExamplesSection) -> Problems:
    if corpus.format.name == "sentences" and corpus.documents == "line" and examples.name in PAIRS:
        message = (
            f"a document of one line is a single sentence, but {examples.name} need two; consider documents: blank-line, or format: text"
        )
        yield ("corpus", "documents"), message


def predictions_hold_the_rate(phases: list[models.Phase], masking: models.MaskingSection) -> Problems:
    """As in Google's code, a row gets the smaller of both numbers."""
    for number, phase in enumerate(phases):
        length, given, needed = phase.max_seq_length, phase.max_predictions, needed_predictions(phase.max_seq_length, masking)
        if 0 < given < needed:
            rate = masking.settings.get("rate", DEFAULT_RATE)
            message = (
                f"{given} positions are fewer than {rate:g} of {length} pieces, {needed}: no row will have more than {given} predictions"
            )
            yield ("phases", number, "max_predictions"), message


WARNINGS: tuple[Callable[..., Problems], ...] = (
    lamb_has_a_large_batch,
    trained_weights_have_a_low_rate,
    pairs_have_two_sentences,
    predictions_hold_the_rate,
)
