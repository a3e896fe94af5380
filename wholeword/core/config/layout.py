"""The corpus of a recipe as the plain values that `wholeword.core.data` works with."""

from pathlib import Path

from wholeword.core.config.recipe import CorpusSection
from wholeword.core.config.settings import found_settings
from wholeword.core.data.corpus import CorpusLayout
from wholeword.core.registry.spec import PluginSpec


def corpus_layout(corpus: CorpusSection, base_folder: Path) -> CorpusLayout:
    """The files of a corpus, from the recipe's folder, and how they are read."""
    return CorpusLayout(
        files=tuple(corpus.files),
        base_folder=base_folder,
        format=PluginSpec(corpus.format, {"text_key": corpus.text_key} if corpus.format == "jsonl" else {"documents": corpus.documents}),
        bad_bytes=corpus.bad_bytes,
        drop_duplicates=corpus.drop_duplicates,
        shard_mb=corpus.shard_mb,
    )


def cleaning_of(corpus: CorpusSection, base_folder: Path) -> tuple[PluginSpec, ...]:
    """The cleaners of a corpus, in order."""
    return tuple(PluginSpec(section.name, found_settings("cleaner", section, base_folder)) for section in corpus.cleaning)
