"""Models of the family by name, in the framework at hand: the same numbers from PyTorch, TensorFlow and Paddle.

from wholeword import zoo
model, tokenizer = zoo.load("rbt3"), zoo.load_tokenizer("rbt3")
"""

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from wholeword.core.errors import UserError

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles

# framework: module that makes it, what has to be installed, as import names
FRAMEWORKS = {
    "torch": ("wholeword.zoo.to_torch", ("torch", "transformers")),
    "tensorflow": ("wholeword.zoo.to_tensorflow", ("tensorflow", "keras_hub")),
    "paddle": ("wholeword.zoo.to_paddle", ("paddle", "paddlenlp")),
}
OTHER_NAMES = {"pytorch": "torch", "keras": "tensorflow", "paddlepaddle": "paddle"}
# head: what the model has to hold for it
HEADS = {None: ("pooler",), "mlm": ("MLM head",), "nsp": ("pooler", "NSP head")}


def load(
    name: str,
    framework: str | None = None,
    head: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Any:
    """A model of the framework's own class, for inference.

    | head | torch (transformers) | tensorflow (KerasHub) | paddle (paddlenlp) |
    |-|-|-|-|
    | None | BertModel | BertBackbone | BertModel |
    | "mlm" | BertForMaskedLM | BertMaskedLM | BertForMaskedLM |
    | "nsp" | BertForPreTraining | none | BertForPretraining |

    Args:
        name: a name or alias of `wholeword zoo ls`, `hub:owner/name`, or where a model is; see `zoo.find.find`.
        framework: a key of FRAMEWORKS; by default the one that is imported, or else the only one installed.
        revision: branch, tag or commit of the hub.
        local_files_only: ask no network.
    Raises: UserError for what is unknown, missing in the files or not installed; NetworkError; IntegrityError.
    """
    if head not in HEADS:
        raise UserError(f"head {head!r}; expected None, 'mlm' or 'nsp'")
    make = _framework_function(choose_framework(framework), "to_{framework}")
    from wholeword.zoo.find import read

    model = read(name, revision=revision, local_files_only=local_files_only)
    _check_parts(model, head, name)
    return make(model, head)


def load_tokenizer(name: str, framework: str | None = None, revision: str | None = None, local_files_only: bool = False) -> Any:
    """The tokenizer of a model, of the framework's own class; weights are not fetched. The arguments are those of `load`."""
    make = _framework_function(choose_framework(framework), "{framework}_tokenizer")
    from wholeword.zoo.find import read_tokenizer

    vocabulary, lowercase = read_tokenizer(name, revision=revision, local_files_only=local_files_only)
    return make(vocabulary, lowercase=lowercase)


def info(name: str) -> dict[str, Any]:
    """What the card says: nothing is fetched. Raises: UserError with the nearest name."""
    from wholeword.zoo.cards import get_card

    card = get_card(name)
    return card.model_dump(by_alias=True) | {"size": card.size, "parameters": card.parameters}


def list_models() -> list[str]:
    """The names of all cards."""
    from wholeword.zoo.cards import card_names

    return card_names()


def choose_framework(framework: str | None) -> str:
    """The framework asked for; or else the one that is imported; or else the only one installed.

    Raises: UserError naming the choices.
    """
    if framework is not None:
        chosen = OTHER_NAMES.get(framework, framework)
        if chosen not in FRAMEWORKS:
            raise UserError(f"framework {framework!r}; expected one of {', '.join(FRAMEWORKS)}")
        return chosen
    imported = [name for name in FRAMEWORKS if name in sys.modules]
    found = imported or [name for name in FRAMEWORKS if find_spec(name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f'no framework is installed: pip install "wholeword[torch]", or one of {", ".join(list(FRAMEWORKS)[1:])}')
    state = "imported" if imported else "installed"
    raise UserError(f"{', '.join(found)} are {state}; say which: framework={' or framework='.join(map(repr, found))}")


def _framework_function(framework: str, name: str) -> Any:
    module, libraries = FRAMEWORKS[framework]
    if missing := [library for library in libraries if not find_spec(library)]:
        raise UserError(f'framework {framework!r} needs {missing[0]!r}: pip install "wholeword[{framework}]"')
    maker = import_module(module)
    if framework == "paddle":
        maker.refuse_after_tensorflow()  # before anything is fetched
    return getattr(maker, name.format(framework=framework))


def _check_parts(model: "ModelFiles", head: str | None, name: str) -> None:
    """Say what a model cannot do. Raises: UserError if the head that was asked for is not in its files."""
    from wholeword.zoo.folder import SAYS_ROBERTA

    if SAYS_ROBERTA in (model.provenance.notes or ()):
        warnings.warn(f'{name}: {SAYS_ROBERTA}; write "model_type": "bert" into its config.json', stacklevel=3)
    missing = model.provenance.missing or ()
    needed = HEADS[head]
    if needed[-1] in missing and head is not None:
        advice = "repair it with `wholeword repair-head`, or train on" if head == "mlm" else "train it, or load without head"
        raise UserError(f"{name}: head={head!r}, but its files hold no {needed[-1]}, and a random one predicts nothing; {advice}")
    if "pooler" in needed and "pooler" in missing:
        warnings.warn(f"{name}: its files hold no pooler, and the one here is random; use the hidden states, or fine-tune", stacklevel=3)
    if head == "mlm" and (model.weights["cls/predictions/transform/LayerNorm/gamma"] == 1).all():  # quick, and true of all that follows
        from wholeword.core.bert.heads import inspect_model

        state, why = inspect_model(model).mlm
        if state == "untouched":
            warnings.warn(
                f"{name}: its MLM head was never trained ({why}), so it predicts nothing; `wholeword repair-head` trains it", stacklevel=3
            )
