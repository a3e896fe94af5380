"""What a plugin's object must look like, by kind. Nothing here needs to be inherited from.

A plugin registers `name -> "module:object"` (see `wholeword.core.registry.hookspecs`). The object is called with keyword arguments when a
recipe names it: its annotated keyword-only signature is the schema of its section in the recipe.
"""

from wholeword.core.contracts.arrays import Array, Tensors
from wholeword.core.contracts.commands import Command
from wholeword.core.contracts.masking import BoundStrategy, Masked, MaskingStrategy
from wholeword.core.contracts.models import (
    BertConfig,
    ConfigSource,
    Exporter,
    ModelFiles,
    Provenance,
    Slots,
    VerifyingExporter,
    VocabularySource,
    ZooSource,
)
from wholeword.core.contracts.tasks import NO_TARGET, Answer, Example, Head, Rows, SpanExample, TaggedExample, Task, TextExample
from wholeword.core.contracts.text import (
    BulkSegmenter,
    Cleaner,
    CorpusFormat,
    Documents,
    DocumentSplitter,
    FastSegmenter,
    FileReader,
    Segmenter,
    SplittingSegmenter,
    TextPart,
    Versioned,
)
from wholeword.core.contracts.tracker import TrackedRun, Tracker
from wholeword.core.contracts.training import (
    Backend,
    DescribedBackend,
    DistributedBackend,
    FineTuner,
    FineTuningBackend,
    Optimizer,
    OptimizerKernel,
    OptimizerReference,
    RowsBackend,
    RowSource,
    Schedule,
    Trainer,
)

__all__ = [
    "NO_TARGET",
    "Answer",
    "Array",
    "Backend",
    "BertConfig",
    "BoundStrategy",
    "BulkSegmenter",
    "Cleaner",
    "Command",
    "ConfigSource",
    "CorpusFormat",
    "DescribedBackend",
    "DistributedBackend",
    "DocumentSplitter",
    "Documents",
    "Example",
    "Exporter",
    "FastSegmenter",
    "FileReader",
    "FineTuner",
    "FineTuningBackend",
    "Head",
    "Masked",
    "MaskingStrategy",
    "ModelFiles",
    "Optimizer",
    "OptimizerKernel",
    "OptimizerReference",
    "Provenance",
    "RowSource",
    "Rows",
    "RowsBackend",
    "Schedule",
    "Segmenter",
    "Slots",
    "SpanExample",
    "SplittingSegmenter",
    "TaggedExample",
    "Task",
    "Tensors",
    "TextExample",
    "TextPart",
    "TrackedRun",
    "Tracker",
    "Trainer",
    "VerifyingExporter",
    "Versioned",
    "VocabularySource",
    "ZooSource",
]
