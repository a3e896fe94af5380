"""The settings of a recipe that determine its token store, as plain values: `prepare_job`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wholeword.core.bert.growth import grow_vocabulary, read_pieces
from wholeword.core.config.layout import cleaning_of, corpus_layout
from wholeword.core.config.locations import read_vocabulary, vocabulary_size
from wholeword.core.config.recipe import Recipe, TokenizerSection
from wholeword.core.config.settings import found_settings
from wholeword.core.data.corpus import CorpusLayout
from wholeword.core.registry.spec import PluginSpec
from wholeword.core.vocabulary import Vocabulary


@dataclass(frozen=True)
class TokenizerSpec:
    """A tokenizer whose vocabulary has not been read yet: the settings of a recipe's `tokenizer` section, under the same names."""

    base_folder: Path
    vocab: str | None = None
    train: int | None = None
    min_frequency: int = 2
    lowercase: bool = True
    add: str | tuple[str, ...] | None = None
    reuse_unused: bool = False

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """`vocab` with the pieces of `add`; not for `train`. Read once. Raises: UserError."""
        vocabulary = read_vocabulary(str(self.vocab), self.base_folder)
        if self.add is None:
            return vocabulary
        return grow_vocabulary(vocabulary, self.added_pieces, lowercase=self.lowercase, reuse_unused=self.reuse_unused)

    @cached_property
    def added_pieces(self) -> tuple[str, ...]:
        """The pieces of `add`, from its file if it names one."""
        return tuple(read_pieces(self.base_folder / self.add)) if isinstance(self.add, str) else self.add or ()

    def vocab_size(self) -> int:
        """The size; an upper bound if the vocabulary is to be trained or grown. Never accesses the network for zoo models."""
        if self.train:
            return self.train
        size = vocabulary_size(str(self.vocab), self.base_folder)
        return size if self.reuse_unused else size + len(set(self.added_pieces))


@dataclass(frozen=True)
class PrepareJob:
    """Everything that `prepare` needs: what the token store is built from, and where."""

    corpus: CorpusLayout
    cleaning: tuple[PluginSpec, ...]
    segmenter: PluginSpec
    tokenizer: TokenizerSpec
    latin_phrases: str  # "split" or "keep"
    store: Path
    cache: Path | None  # of segmented text
    workers: int  # processes; 0: one per core
    compat: str | None = None  # "google": text is read and tokenized as by google-research/bert


def tokenizer_spec(tokenizer: TokenizerSection, base_folder: Path) -> TokenizerSpec:
    """The tokenizer of a recipe."""
    return TokenizerSpec(
        base_folder=base_folder,
        vocab=tokenizer.vocab,
        train=tokenizer.train,
        min_frequency=tokenizer.min_frequency,
        lowercase=tokenizer.lowercase,
        add=tuple(tokenizer.add) if isinstance(tokenizer.add, list) else tokenizer.add,
        reuse_unused=tokenizer.reuse_unused,
    )


def prepare_job(recipe: Recipe) -> PrepareJob:
    """The settings that `prepare` needs. Raises: PluginError if one of its plugins cannot be loaded."""
    return PrepareJob(
        corpus=corpus_layout(recipe.corpus, recipe.base_folder),
        cleaning=cleaning_of(recipe.corpus, recipe.base_folder),
        segmenter=PluginSpec(recipe.segmenter.name, found_settings("segmenter", recipe.segmenter, recipe.base_folder)),
        tokenizer=tokenizer_spec(recipe.tokenizer, recipe.base_folder),
        latin_phrases=recipe.alignment.latin_phrases,
        store=Path(recipe.store),
        cache=Path(recipe.cache) if recipe.cache else None,
        workers=recipe.prepare_workers,
        compat=recipe.compat,
    )
