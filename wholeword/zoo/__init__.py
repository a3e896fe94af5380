"""Load models by name as PyTorch, TensorFlow or Paddle models; all three compute the same numbers.

from wholeword import zoo
model, tokenizer = zoo.load("rbt3"), zoo.load_tokenizer("rbt3")
"""

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from wholeword.core.console import doing
from wholeword.core.errors import UserError

if TYPE_CHECKING:
    from wholeword.core.contracts import ModelFiles

# framework: module that builds its models, and the packages it needs, by import name
FRAMEWORKS = {
    "torch": ("wholeword.zoo.to_torch", ("torch", "transformers")),
    "tensorflow": ("wholeword.zoo.to_tensorflow", ("tensorflow", "keras_hub")),
    "paddle": ("wholeword.zoo.to_paddle", ("paddle", "paddlenlp")),
}
OTHER_NAMES = {"pytorch": "torch", "keras": "tensorflow", "paddlepaddle": "paddle"}
# head: the parts that a model needs for it, beside its own layer after fine-tuning
HEADS: dict[str | None, tuple[str, ...]] = {
    **{None: ("pooler",), "mlm": ("MLM head",), "nsp": ("pooler", "NSP head")},
    **{"classification": (), "span": (), "tagging": ()},
}


def load(
    name: str,
    framework: str | None = None,
    head: str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Any:
    """Load a model for inference, as an instance of the framework's own class.

    | head | torch (transformers) | tensorflow (KerasHub) | paddle (paddlenlp) |
    |-|-|-|-|
    | None | BertModel | BertBackbone | BertModel |
    | "mlm" | BertForMaskedLM | BertMaskedLM | BertForMaskedLM |
    | "nsp" | BertForPreTraining | none | BertForPretraining |
    | "classification" | BertForSequenceClassification | BertTextClassifier | BertForSequenceClassification |
    | "span" | BertForQuestionAnswering | Model on BertBackbone | BertForQuestionAnswering |
    | "tagging" | BertForTokenClassification | Model on BertBackbone | BertForTokenClassification |

    The last three are of fine-tuned models; their logits are [batch, labels], [batch, length, 2] (begin and end) and [batch, length, tags].

    Args:
        name: a name listed by `wholeword zoo ls` or an alias, `hub:owner/name`, or a path; see `zoo.find.find`.
        framework: a key of FRAMEWORKS; defaults to the one already imported, otherwise to the only one installed.
        revision: branch, tag or commit on the hub.
        local_files_only: never access the network.
    Raises: UserError if the name, framework or head is unknown, the files lack the head, or a package is not installed; NetworkError;
        IntegrityError.
    """
    if head not in HEADS:
        raise UserError(f"head {head!r}; expected None, 'mlm', 'nsp', 'classification', 'span' or 'tagging'")
    framework = choose_framework(framework)
    convert = _framework_function(framework, "to_{framework}")
    from wholeword.core.bert.task_heads import TASK_HEADS
    from wholeword.zoo.find import read
    from wholeword.zoo.finetuned import expect_head, read_with_head

    if head in TASK_HEADS:
        model = read_with_head(name, head=head, revision=revision, local_files_only=local_files_only)
        expect_head(model, head, name)
    else:
        model = read(name, revision=revision, local_files_only=local_files_only)
    _check_parts(model, head, name)
    with doing(f"making a model of {FRAMEWORKS[framework][1][-1]}"):
        return convert(model, head)


def load_tokenizer(name: str, framework: str | None = None, revision: str | None = None, local_files_only: bool = False) -> Any:
    """Load the tokenizer of a model, as an instance of the framework's own class, without fetching weights. Arguments as for `load`."""
    framework = choose_framework(framework)
    make_tokenizer = _framework_function(framework, "{framework}_tokenizer")
    from wholeword.zoo.find import read_tokenizer

    vocabulary, lowercase, max_length = read_tokenizer(name, revision=revision, local_files_only=local_files_only)
    with doing(f"making a tokenizer of {FRAMEWORKS[framework][1][-1]}"):
        return make_tokenizer(vocabulary, lowercase=lowercase, max_length=max_length)


def info(name: str) -> dict[str, Any]:
    """The contents of a model's card; nothing is fetched. Raises: UserError suggesting the nearest name."""
    from wholeword.zoo.cards import get_card

    card = get_card(name)
    return card.model_dump(by_alias=True) | {"size": card.size, "parameters": card.parameters}


def list_models() -> list[str]:
    """The names of all models in the zoo."""
    from wholeword.zoo.cards import card_names

    return card_names()


def choose_framework(framework: str | None) -> str:
    """The framework of that name; without a name, the one already imported, otherwise the only one installed.

    Raises: UserError listing the choices.
    """
    if framework is not None:
        chosen = OTHER_NAMES.get(framework, framework)
        if chosen not in FRAMEWORKS:
            raise UserError(f"framework {framework!r}; expected one of {', '.join(FRAMEWORKS)}")
        return chosen
    imported = [name for name in FRAMEWORKS if name in sys.modules]
    candidates = imported or [name for name in FRAMEWORKS if find_spec(name)]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise UserError(f'no framework is installed: pip install "wholeword[torch]", or one of {", ".join(list(FRAMEWORKS)[1:])}')
    state = "imported" if imported else "installed"
    raise UserError(f"{', '.join(candidates)} are {state}; choose one: framework={' or framework='.join(map(repr, candidates))}")


def _framework_function(framework: str, name: str) -> Any:
    module, libraries = FRAMEWORKS[framework]
    if missing := [library for library in libraries if not find_spec(library)]:
        raise UserError(f'framework {framework!r} needs {missing[0]!r}: pip install "wholeword[{framework}]"')
    with doing(f"importing {' and '.join(libraries)}"):
        converter = import_module(module)
    if framework == "paddle":
        converter.refuse_after_tensorflow()  # before anything is fetched
    return getattr(converter, name.format(framework=framework))


def _check_parts(model: "ModelFiles", head: str | None, name: str) -> None:
    """Warn about parts that are missing or untrained. Raises: UserError if the files lack the requested head."""
    from wholeword.zoo.folder import ROBERTA_NOTE

    if ROBERTA_NOTE in (model.provenance.notes or ()):
        warnings.warn(f'{name}: {ROBERTA_NOTE}; write "model_type": "bert" into its config.json', stacklevel=3)
    missing = model.provenance.missing or ()
    needed = HEADS[head]
    if needed and needed[-1] in missing and head is not None:
        advice = (
            "train one with `wholeword repair-head`, or continue pre-training" if head == "mlm" else "train one, or load with head=None"
        )
        raise UserError(
            f"{name}: head={head!r}, but its files contain no {needed[-1]}, and a random one would predict nothing useful; {advice}"
        )
    if "pooler" in needed and "pooler" in missing:
        warnings.warn(f"{name}: its files contain no pooler, so this one is random; use the hidden states, or fine-tune", stacklevel=3)
    if head == "nsp" and "MLM head" in missing:
        warnings.warn(f"{name}: its files contain no MLM head, so this one is random; use seq_relationship_logits alone", stacklevel=3)
    if (
        head == "mlm" and (model.weights["cls/predictions/transform/LayerNorm/gamma"] == 1).all()
    ):  # quick to check, and true of every untrained head
        from wholeword.core.bert.heads import inspect_model

        state, reason = inspect_model(model).mlm
        if state == "untouched":
            warnings.warn(
                f"{name}: its MLM head was never trained ({reason}), so its predictions are meaningless; `wholeword repair-head` trains it",
                stacklevel=3,
            )
