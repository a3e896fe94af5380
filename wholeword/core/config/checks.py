"""What each setting allows by itself and all together do not.

A check takes the sections it speaks of, by their names, and runs when these are well-formed; it gives (path, message) for what it
finds. `base_folder` is the recipe's.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from wholeword.core.bert.config import model_config
from wholeword.core.config import recipe as models
from wholeword.core.config.fields import PluginSection
from wholeword.core.config.sources import FOLDER, expect_known_source, expect_model, source_location
from wholeword.core.config.yaml import KeyPath
from wholeword.core.data.examples import PAIRS
from wholeword.core.errors import UserError, WholewordError
from wholeword.core.registry.registry import registry

Problems = Iterator[tuple[KeyPath, str]]

DEFAULT_RATE = 0.15  # of BERT; for strategies without a setting `rate`
SMALL_LAMB_BATCH = 256
HIGH_LR = 1e-3  # HFL's maintainers: about 1e-5 to go on from a released model (ymcui/Chinese-BERT-wwm#72)


def needed_predictions(max_seq_length: int, masking: models.MaskingSection) -> int:
    """The most places that the masking rate gives a row to predict."""
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
        yield ("masking", "rate"), "0 masks nothing; expected over 0, such as 0.15"


def predictions_hold_the_rate(phases: list[models.Phase], masking: models.MaskingSection) -> Problems:
    for number, phase in enumerate(phases):
        path = ("phases", number, "max_predictions")
        length, given, needed = phase.max_seq_length, phase.max_predictions, needed_predictions(phase.max_seq_length, masking)
        if 0 < given < needed:
            rate = masking.settings.get("rate", DEFAULT_RATE)
            yield path, f"{given} places do not hold {rate:g} of {length} tokens; expected at least {needed}, or leave it out"
        if given > length:
            yield path, f"{given} places in a row of {length} tokens; expected about {needed}, or leave it out"


def warmup_ends_within_its_phase(phases: list[models.Phase]) -> Problems:
    for number, phase in enumerate(phases):
        if phase.warmup_steps > phase.steps:
            usual = max(1, phase.steps // 10)
            message = f"{phase.warmup_steps:,} steps of warm-up in a phase of {phase.steps:,}; expected fewer, such as {usual:,}, a tenth"
            yield ("phases", number, "warmup_steps"), message


def rows_fit_the_positions(phases: list[models.Phase], model: models.ModelSection) -> Problems:
    positions = model.max_position_embeddings or 512  # of every released model
    for number, phase in enumerate(phases):
        if phase.max_seq_length > positions:
            message = f"{phase.max_seq_length} tokens for a model of {positions} positions; lower it, or set model.max_position_embeddings"
            yield ("phases", number, "max_seq_length"), message


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
        yield path, "layers of a random model; expected from: a folder beside it, or no layers"
    size = model_config({"size": model.size}, vocab_size=1).num_hidden_layers if model.size else None
    num_hidden_layers = model.num_hidden_layers or size
    if num_hidden_layers is not None and len(model.layers) != num_hidden_layers:
        yield path, f"{len(model.layers)} layers to take for a model of {num_hidden_layers}; expected one number for each of its layers"


def frozen_weights_are_trained(model: models.ModelSection) -> Problems:
    if model.freeze is not None and model.init_folder is None:
        yield ("model", "freeze"), f"{model.freeze} of a random model, which would stay random; expected init: a folder beside it"
    if model.freeze is not None and model.init.pooler == "new":
        yield ("model", "init", "pooler"), f"new, with freeze: {model.freeze}, under which it would stay random; expected pooler: keep"


def next_sentence_has_two_segments(examples: models.ExamplesSection, model: models.ModelSection) -> Problems:
    if examples.name in PAIRS and model.type_vocab_size == 1:
        yield ("model", "type_vocab_size"), f"1, but {examples.name} have two segments; expected 2, or examples: full-sentences"


def compatibility_is_all_or_nothing(compat: str | None, examples: models.ExamplesSection, masking: models.MaskingSection) -> Problems:
    if compat is None:
        return
    if examples.name != "nsp-pairs":
        yield ("examples", "name"), f"{examples.name} with compat: {compat}; expected nsp-pairs, or no compat"
    if masking.dynamic:
        yield ("masking", "dynamic"), f"true with compat: {compat}; expected false and a dupe_factor, or no compat"
    if masking.name not in ("whole-word", "wordpiece"):
        yield ("masking", "name"), f"{masking.name} with compat: {compat}; expected whole-word or wordpiece, or no compat"
        return
    parameters = registry.parameters("masking", masking.name)
    for key, value in masking.settings.items():
        if key != "rate" and value != parameters[key].default:
            yield ("masking", key), f"{value} with compat: {compat}, which has no setting but rate; leave {key} or compat out"


def corpus_settings_fit_the_format(corpus: models.CorpusSection) -> Problems:
    name = corpus.format.name
    unknown = corpus.model_fields_set - registry.parameters("corpus_format", name).keys()
    if "text_key" in unknown:
        yield ("corpus", "text_key"), f"only jsonl has keys; expected format: jsonl beside it, not {name}, or no text_key"
    if "documents" in unknown:
        reason = "every line of jsonl is a document" if name == "jsonl" else f"{name} itself decides where a document ends"
        yield ("corpus", "documents"), f"{reason}; expected no setting 'documents' beside format: {name}"


def one_vocabulary(tokenizer: models.TokenizerSection) -> Problems:
    if tokenizer.vocab is None and tokenizer.train is None:
        yield ("tokenizer",), "neither vocab nor train; expected vocab: a vocab.txt, or train: a size such as 8000"
    if tokenizer.vocab is not None and tokenizer.train is not None:
        yield ("tokenizer", "train"), "both vocab and train; expected one: vocab takes a vocabulary, train makes one from the corpus"
    if tokenizer.train is None and "min_frequency" in tokenizer.model_fields_set:
        yield ("tokenizer", "min_frequency"), "only for a vocabulary to train; expected train: a size beside it, or no min_frequency"


def pieces_are_added_to_a_vocabulary(tokenizer: models.TokenizerSection) -> Problems:
    if tokenizer.add is not None and tokenizer.vocab is None:
        yield ("tokenizer", "add"), "pieces to add to a vocabulary that is trained; expected vocab: a vocab.txt or zoo:NAME beside it"
    if tokenizer.reuse_unused and tokenizer.add is None:
        yield ("tokenizer", "reuse_unused"), "true, but there are no pieces to put there; expected add: pieces beside it"


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
                yield ("evaluation", key), "nothing is held out to evaluate on; expected evaluation.held_out_rate over 0, such as 0.01"


def sentences_have_a_mask(evaluation: models.EvaluationSection) -> Problems:
    for number, sentence in enumerate(evaluation.fill_mask):
        if "[MASK]" not in sentence:
            yield ("evaluation", "fill_mask", number), f"no [MASK] in {sentence!r}; expected [MASK] in the place of each piece to fill in"


def exporters_are_named_once(export: list[models.BriefSection]) -> Problems:
    names = [exporter.name for exporter in export]
    for name, count in Counter(names).items():
        if count > 1:
            yield ("export", len(names) - 1 - names[::-1].index(name)), f"{name!r} appears {count} times; keep one"


def output_is_not_read(corpus: models.CorpusSection, output: str, store: str, base_folder: Path) -> Problems:
    """A run writes text (vocab.txt, log.jsonl) that a pattern of the corpus must not find the next time."""
    for pattern in corpus.files:
        path = Path(os.path.abspath(base_folder / pattern))
        fixed = next(parent for parent in path.parents if not any(wild in str(parent) for wild in "*?["))
        for key, folder in (("output", Path(os.path.abspath(output))), ("store", Path(os.path.abspath(store)))):
            if folder in (path, fixed) or ("**" in pattern and folder.is_relative_to(fixed)):
                yield (key,), f"{pattern!r} of the corpus would read what the run writes to {folder.name!r}; expected another folder"
                return


PROBLEMS: tuple[Callable[..., Problems], ...] = (
    something_is_masked,
    predictions_hold_the_rate,
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
            message = f"{phase.batch_size} is a small batch for lamb, made for {SMALL_LAMB_BATCH} and more; consider optimizer: adamw"
            yield ("phases", number, "batch_size"), message


def trained_weights_have_a_low_rate(model: models.ModelSection, phases: list[models.Phase]) -> Problems:
    for number, phase in enumerate(phases):
        if model.init_folder is not None and model.freeze is None and phase.peak_lr >= HIGH_LR:
            message = f"{phase.peak_lr:g} destroys the weights of {model.init_folder!r}; released models go on at about 1e-5"
            yield ("phases", number, "peak_lr"), message


def pairs_have_two_sentences(corpus: models.CorpusSection, examples: models.ExamplesSection) -> Problems:
    if corpus.format.name == "sentences" and corpus.documents == "line" and examples.name in PAIRS:
        message = f"a document of one line is one sentence, and {examples.name} want two; consider documents: blank-line, or format: text"
        yield ("corpus", "documents"), message


WARNINGS: tuple[Callable[..., Problems], ...] = (lamb_has_a_large_batch, trained_weights_have_a_low_rate, pairs_have_two_sentences)
