"""What would stop a pre-training recipe, found before anything is prepared: by `wholeword check`, and by the commands that train.

Each check is a function that raises UserError or PluginError; those that only warn return lines.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wholeword.core.config.job import Job
from wholeword.core.config.locations import read_model
from wholeword.core.config.settings import missing_files, names_own_files
from wholeword.core.config.sources import FOLDER, source_location
from wholeword.core.console import doing
from wholeword.core.data.corpus import expand_files
from wholeword.core.data.examples import PAIRS
from wholeword.core.data.selection import held_out
from wholeword.core.data.tokenizer import WordPieceTokenizer, definition_of
from wholeword.core.errors import InputWarning, PluginError, UserError
from wholeword.core.files import MANIFEST, read_manifest
from wholeword.core.formats.checkpoints import latest_checkpoint
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.libraries import expect_libraries
from wholeword.core.registry.registry import registry
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.training.inputs import expect_reusable, partial_store
from wholeword.core.training.optional import hosts_of
from wholeword.core.training.problems import Problems, expect_backend, expect_folders, expect_known_pieces, expect_room, size_of_folder
from wholeword.core.training.sources import bind, identity_of
from wholeword.core.training.start import expect_same_run, expect_shape, starting_model
from wholeword.planning.corpus import CorpusSize, count, estimate, local_vocabulary
from wholeword.planning.plan import Plan, initial_config, plan

TEXT_PLUGINS = ("corpus_format", "cleaner", "segmenter", "masking")
MANY_DOCUMENTS = 10_000  # so many are never all held out, or all kept


class Preflight(NamedTuple):
    """What is known about a recipe before it is carried out.

    Args:
        plan: None where a problem hides the numbers.
        is_template: whether it is a shipped recipe that waits for its text: what it lacks on this machine is no problem yet.
        file_warnings: what the plugins say of their files; they say it again when a run uses them.
    """

    plan: Plan | None
    problems: Problems
    is_template: bool
    file_warnings: list[str]


def preflight(job: Job, *, resume: str = "auto", fetch: bool = False, is_shipped: bool = False) -> Preflight:
    """Check a recipe against this machine.

    Args:
        resume: as of `wholeword train`; "never" moves an earlier run aside.
        fetch: whether the vocabulary may be fetched.
        is_shipped: whether corpus, vocabulary and initial model are those of a shipped recipe.
    Raises: IntegrityError if a store is damaged.
    """
    problems, is_template, file_warnings = Problems(), is_shipped and _waits_for_text(job), []
    if resume == "never" and (job.output / "recipe.json").exists():
        job = _begun_anew(job)
    for kind, plugin in _plugins(job):
        with problems.collected():
            expect_libraries(kind, plugin.name)
            file_warnings += expect_files(kind, plugin, job)
    with problems.collected():
        expect_backend(job.backend.name, job.backend.settings)
    before = len(problems.problems)
    with problems.collected():
        expect_folders({"output": job.output, "store": job.prepare.store, "cache": job.prepare.cache})
    if len(problems.problems) > before:
        return Preflight(None, problems, is_template, file_warnings)
    numbers = _numbers(job, problems, fetch=fetch, is_template=is_template)
    with problems.collected():
        if latest_checkpoint(job.output / "checkpoints") is not None:
            run_is_of_this_recipe(job)
        elif not is_template:
            model_fits(job)
    if numbers is not None:
        with problems.collected():
            expect_room(bytes_to_write(job, numbers))
        with problems.collected():
            problems.warnings += text_fits(job, numbers)
    return Preflight(numbers, problems, is_template, file_warnings)


def _begun_anew(job: Job) -> Job:
    """The job as it is once the earlier run in its place has been moved aside, often with its store: its folders are empty."""
    output = job.output.with_name(f"{job.output.name}.anew")
    moves = job.prepare.store.absolute().is_relative_to(job.output.absolute())
    return replace(job, output=output, prepare=replace(job.prepare, store=output / "store") if moves else job.prepare)


def expect_ready(job: Job, *, resume: str = "auto") -> list[str]:
    """Check a recipe that is about to be carried out. Of several hosts, the chief does that alone: the others need no corpus.

    Returns: warnings.
    Raises: RecipeError with all that would stop the run; BrokenPluginsError if that is plugins alone.
    """
    if not _is_chief(job):
        return []
    with doing("checking the recipe against this machine"):
        problems = preflight(job, resume=resume, fetch=True).problems
    problems.expect_none()
    return problems.warnings


def expect_preparable(job: Job) -> list[str]:
    """Check what `wholeword prepare` needs: the corpus and its plugins, the vocabulary, room for the store.

    Returns: warnings. Raises: as `expect_ready`.
    """
    problems = Problems()
    for kind, plugin in _plugins(job):
        if kind in TEXT_PLUGINS:
            with problems.collected():
                expect_libraries(kind, plugin.name)
                expect_files(kind, plugin, job)
    with problems.collected(), doing("reading the beginning of the corpus"):
        expect_folders({"store": job.prepare.store, "cache": job.prepare.cache})
        finished = expect_reusable(job.prepare)
        corpus = count(job.prepare.store) if finished else estimate(job, fetch=True)
        problems.warnings += text_fits(job, corpus)
        expect_room({job.prepare.store: 0 if finished else corpus.store_bytes - size_of_folder(partial_store(job.prepare.store))})
    problems.expect_none()
    return problems.warnings


def _is_chief(job: Job) -> bool:
    try:
        return hosts_of(registry.create("backend", job.backend.name, **job.backend.settings), job.backend.name).is_chief
    except PluginError:  # reported with all other problems
        return True


def _waits_for_text(job: Job) -> bool:
    """Whether a shipped recipe is a template, whose text is the user's own; that of a package is not."""
    try:
        expand_files(job.prepare.corpus)
    except UserError:
        return not any(pattern.startswith("package://") for pattern in job.prepare.corpus.files)
    return False


def _plugins(job: Job) -> Iterator[tuple[str, PluginSpec]]:
    """The plugins that a run uses, the backend aside."""
    yield "corpus_format", job.prepare.corpus.format
    yield from (("cleaner", cleaner) for cleaner in job.prepare.cleaning)
    yield "segmenter", job.prepare.segmenter
    yield "masking", job.rows.masking
    yield "optimizer", job.optimizer
    yield from (("schedule", phase.schedule) for phase in job.phases)
    yield from (("tracker", tracker) for tracker in job.trackers)
    yield from (("exporter", exporter) for exporter in job.export)


def expect_files(kind: str, plugin: PluginSpec, job: Job) -> list[str]:
    """Let a plugin of text or masking read the files that its settings name, as a run will.

    Returns: what it warns of. Raises: UserError for a file that is not there, or that the plugin refuses.
    """
    section = {"corpus_format": "corpus.format", "cleaner": "corpus.cleaning", "tracker": "log.trackers", "exporter": "export"}.get(
        kind, kind
    )
    folder = job.model.base_folder
    for key, value in missing_files(kind, plugin):
        raise UserError(f"{section}.{key}: {value}: no such file (looked in {folder.absolute()})")
    if kind not in TEXT_PLUGINS or not names_own_files(kind, plugin):
        return []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        created = registry.create(kind, plugin.name, **plugin.settings)
        if kind == "masking" and (vocabulary := local_vocabulary(job.prepare)) is not None:
            definition = definition_of(job.prepare.compat)
            bind(created, WordPieceTokenizer(vocabulary, job.prepare.tokenizer.lowercase, definition=definition), name=plugin.name)
    return [str(warning.message) for warning in caught if issubclass(warning.category, InputWarning)]


def _numbers(job: Job, problems: Problems, *, fetch: bool, is_template: bool) -> Plan | None:
    """The plan, if the store in its place is that of the recipe, or the corpus is there."""
    before = len(problems.problems)
    store = job.prepare.store
    with problems.collected():
        if not is_template or store.exists() or partial_store(store).exists():
            expect_reusable(job.prepare)
    if len(problems.problems) > before:
        return None
    with problems.collected():
        return plan(job, is_template=is_template, fetch=fetch)
    return None


def run_is_of_this_recipe(job: Job) -> None:
    """Raises: UserError if the output folder holds a run of another recipe."""
    begun = _state(job).get("identity")
    if begun is not None:
        store = job.prepare.store
        fingerprint = read_manifest(store)["fingerprint"] if (store / MANIFEST).exists() else begun.get("store")
        expect_same_run(job.output, begun, identity_of(job, fingerprint))


def model_fits(job: Job) -> None:
    """Raises: UserError if the initial model is missing or unreadable, or rows, pieces or sizes of the recipe are not the model's."""
    spec = job.model
    if spec.init is None:
        return
    source, vocabulary = source_location(spec.init), local_vocabulary(job.prepare)
    config = initial_config(job)
    if source is not None and source.source != FOLDER:  # may have to be fetched: what is known without its weights
        expected = job.prepare.tokenizer.vocab_size()
        if job.prepare.tokenizer.train is None and not spec.adds_pieces and config.vocab_size != expected:
            raise UserError(f"model.init: {spec.init} has {config.vocab_size:,} pieces, but tokenizer.vocab has {expected:,}")
        config = replace(config, num_hidden_layers=len(spec.layers or range(config.num_hidden_layers)))
        expect_shape(spec, config)
    elif vocabulary is None:  # it will be trained or fetched
        model = read_model(spec.init, spec.base_folder)
        config, size = model.config, job.prepare.tokenizer.train
        if size is not None and len(model.vocabulary) > size:
            raise UserError(
                f"tokenizer.train: {size:,} pieces, but {spec.init} has {len(model.vocabulary):,}; set tokenizer.vocab to {spec.init}"
            )
    else:
        config = starting_model(spec, vocabulary, seed=job.seed).config
    for number, phase in enumerate(job.phases):
        if phase.max_seq_length > config.max_position_embeddings:
            length = f"phases.{number}.max_seq_length: {phase.max_seq_length} pieces"
            raise UserError(f"{length}, but {spec.init} has {config.max_position_embeddings} positions; expected no more")
    if job.rows.examples in PAIRS and config.type_vocab_size < 2:
        raise UserError(f"examples: {job.rows.examples} have two segments, but {spec.init} has type_vocab_size {config.type_vocab_size}")


def bytes_to_write(job: Job, numbers: Plan) -> dict[Path, int]:
    """How much a run will still write, by folder."""
    checkpoints, exports = job.output / "checkpoints", job.output / "export"
    own = registry.find("optimizer", job.optimizer.name).distribution == PROJECT
    checkpoint_bytes = (
        numbers.checkpoint_bytes if own else numbers.checkpoint_bytes // 3
    )  # at least the weights; another may have no moments
    return {
        job.prepare.store: 0 if job.prepare.store.exists() else numbers.store_bytes - size_of_folder(partial_store(job.prepare.store)),
        checkpoints: 0 if _is_trained(job) else checkpoint_bytes - size_of_folder(checkpoints),
        exports: numbers.export_bytes - size_of_folder(exports),
    }


def _is_trained(job: Job) -> bool:
    """Whether the last step has been taken."""
    place = _state(job).get("place", {})
    return (place.get("phase"), place.get("step")) == (len(job.phases) - 1, job.phases[-1].steps)


def _state(job: Job) -> dict[str, Any]:
    """What the last checkpoint of the run says; empty if there is none, or it is damaged, which training reports."""
    path = latest_checkpoint(job.output / "checkpoints")
    try:
        return {} if path is None else dict(json.loads((path / "state.json").read_bytes()))
    except (OSError, ValueError):
        return {}


def text_fits(job: Job, numbers: Plan | CorpusSize) -> list[str]:
    """Returns: warnings. Raises: UserError for text that teaches nothing with this vocabulary, or a split without a document."""
    lines = []
    if numbers.unknown_rate is not None and (warning := expect_known_pieces(numbers.unknown_rate)):
        lines.append(warning)
    rate, num_documents = job.rows.held_out_rate, numbers.num_documents
    if not 0 < num_documents < MANY_DOCUMENTS:
        return lines
    num_held_out = int(held_out(np.arange(num_documents), job.seed, rate).sum())
    if rate and num_held_out in (0, num_documents):
        which = "none" if num_held_out == 0 else "all"
        message = f"evaluation.held_out_rate: {rate:g} holds out {which} of the {num_documents:,} documents; change it, or the seed"
        if numbers.state == "exact":
            raise UserError(message)
        lines.append(message)
    if job.rows.examples == "nsp-pairs" and num_documents - num_held_out == 1:
        lines.append(
            "examples: nsp-pairs of one document: a random B comes from that document too, as in Google's code, and may be the sentences "
            "that follow A; separate documents (corpus.documents), or use sop-pairs or full-sentences"
        )
    return lines
