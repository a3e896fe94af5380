"""The corpus of a recipe as the plain values that `wholeword.core.data` works with."""

from pathlib import Path

from wholeword.core.config.recipe import FORMAT_SETTINGS, CorpusSection
from wholeword.core.config.settings import found_settings
from wholeword.core.data.corpus import CorpusLayout
from wholeword.core.registry.hookspecs import PROJECT
from wholeword.core.registry.registry import registry
from wholeword.core.registry.spec import PluginSpec


def corpus_layout(corpus: CorpusSection, base_folder: Path) -> CorpusLayout:
    """The files of a corpus, from the recipe's folder, and how they are read."""
    settings = found_settings("corpus_format", corpus.format, base_folder)
    for key, parameter in registry.parameters("corpus_format", corpus.format.name).items():
        if key in FORMAT_SETTINGS:
            settings[key] = getattr(corpus, key) if key in corpus.model_fields_set else parameter.default
    return CorpusLayout(
        files=tuple(corpus.files),
        base_folder=base_folder,
        format=PluginSpec(corpus.format.name, settings),
        bad_bytes=corpus.bad_bytes,
        drop_duplicates=corpus.drop_duplicates,
        shard_mb=corpus.shard_mb,
        markup=bool(corpus.cleaning) or registry.find("corpus_format", corpus.format.name).distribution != PROJECT,
    )


def cleaning_of(corpus: CorpusSection, base_folder: Path) -> tuple[PluginSpec, ...]:
    """The cleaners of a corpus, in order."""
    return tuple(PluginSpec(section.name, found_settings("cleaner", section, base_folder)) for section in corpus.cleaning)
