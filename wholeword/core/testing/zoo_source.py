"""Checks of places that models are read from."""

from wholeword.core.bert.model_files import problem_of
from wholeword.core.contracts import ConfigSource, VocabularySource, ZooSource
from wholeword.core.errors import WholewordError
from wholeword.core.formats.tensors import checksum

NOWHERE = "no-such-model-anywhere"


def check_zoo_source(source: ZooSource, location: str | None = None) -> None:
    """Check the contract of `contracts.ZooSource`, and of the optional parts that the source has.

    Args:
        location: where it has a model; by default only the answer to an unknown location is checked.
    Raises: AssertionError that says which rule was broken.
    """
    assert isinstance(source, ZooSource), f"{type(source).__name__} has no method read(location)"
    try:
        model = source.read(NOWHERE)
    except WholewordError:
        pass
    except Exception as error:
        raise AssertionError(f"read({NOWHERE!r}) raised {error!r}; expected UserError in one line") from error
    else:
        raise AssertionError(f"read({NOWHERE!r}) returned {type(model).__name__}; expected UserError, there is no such model")
    if location is None:
        return
    model = source.read(location)
    problem = problem_of(model)
    assert problem is None, f"read({location!r}): {problem}"
    again = source.read(location)
    assert checksum(model.weights) == checksum(again.weights), f"read({location!r}) returned other weights the second time"
    if isinstance(source, VocabularySource):
        vocabulary = source.vocabulary(location)
        assert list(vocabulary.pieces) == list(model.vocabulary.pieces), f"vocabulary({location!r}) is not that of read({location!r})"
    if isinstance(source, ConfigSource):
        config, expected = source.config(location).to_dict(), model.config.to_dict()
        different = [key for key, value in config.items() if key in expected and expected[key] != value]
        assert not different, (
            f"config({location!r}) has {different[0]} {config[different[0]]!r}, the model of read() {expected[different[0]]!r}"
        )
