"""Examples and batches from one flat set of arguments."""

from wholeword.core.data.batches import BatchSource
from wholeword.core.data.examples import Examples, ExamplesSpec, build_examples
from wholeword.core.data.store import TokenStore

SPEC = ("kind", "max_seq_length", "seed", "short_seq_rate", "documents", "held_out_rate")


def split(arguments: dict) -> tuple[ExamplesSpec, dict]:
    """The arguments that say which examples there are, and the rest."""
    return ExamplesSpec(**{name: arguments[name] for name in SPEC if name in arguments}), {
        name: value for name, value in arguments.items() if name not in SPEC
    }


def batch_source(store: TokenStore, **arguments) -> BatchSource:
    examples, rest = split(arguments)
    return BatchSource(store, examples, **rest)


def examples_of(store: TokenStore, **arguments) -> Examples:
    examples, rest = split(arguments)
    return build_examples(store, examples, **rest)
