"""Model cards: facts about each model and their sources. Each model has one YAML file in `cards/`."""

from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wholeword.core.bert.config import bert_config
from wholeword.core.bert.shapes import count_parameters, tensor_shapes
from wholeword.core.config.yaml import read_yaml
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError

FOLDER = files("wholeword") / "zoo" / "cards"
SEEDS_LABELS = 3  # the published counts include a classifier for the three labels of XNLI
SEEDS_BASE = 102  # parameters of RoBERTa-wwm-ext in millions, to which the published percentages relate
FACTS = ("config", "lowercase", "data", "heads", "license", "paper")  # those that `sources` covers

Text = Annotated[str, Field(min_length=1)]
State = Literal["trained", "untrained", "missing", "unknown"]


class Part(BaseModel):
    """A mapping in a card; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Summary(Part):
    """One sentence in each language."""

    en: Text
    zh: Text


class Heads(Part):
    """Whether the published heads are trained."""

    mlm: State
    nsp: State


class Source(Part):
    """Where a fact comes from."""

    where: Annotated[Text, Field(alias="from")]
    assumed: bool = False  # no source states it, or the source was not read


class Card(Part):
    """One model. Every card has every key."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]  # as published, in lower case
    aliases: list[Text]  # names on the hub, on PaddleHub, and of the .zip
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    summary: Summary
    config: dict[str, Any]  # the keys of bert_config.json
    lowercase: bool
    data: Text
    heads: Heads  # as in the published file
    license: Text
    paper: Text
    recipe: str | None  # the shipped recipe that makes such a model
    sources: dict[Literal["config", "lowercase", "data", "heads", "license", "paper"], Source]
    notes: list[Text]

    @property
    def bert_config(self) -> BertConfig:
        """The configuration, checked."""
        return bert_config(self.config, f"{self.name}.yaml")

    @property
    def millions(self) -> int:
        """Parameters counted as published: encoder, pooler and a classifier of three labels, in millions, rounded down."""
        return count_parameters(self.bert_config, num_labels=SEEDS_LABELS) // 10**6

    @property
    def parameters(self) -> str:
        """`38M (37.3%)`: parameters, and their share of RoBERTa-wwm-ext's, computed from rounded millions."""
        return f"{self.millions}M ({100 * self.millions / SEEDS_BASE:.1f}%)"

    @property
    def size(self) -> str:
        """`3 x 768`: layers and hidden size."""
        return f"{self.bert_config.num_hidden_layers} x {self.bert_config.hidden_size}"


def card_names() -> list[str]:
    """The names of all models, in alphabetical order."""
    return sorted(file.name.removesuffix(".yaml") for file in FOLDER.iterdir() if file.name.endswith(".yaml"))


@cache
def read_card(name: str) -> Card:
    """The card of that exact name."""
    document = read_yaml((FOLDER / f"{name}.yaml").read_bytes(), f"{name}.yaml")
    assert not document.problems, document.problems
    card = Card.model_validate(document.data)
    assert card.name == name and set(card.sources) == set(FACTS) and tensor_shapes(card.bert_config), name
    return card


def find_card(name: str) -> Card | None:
    """The card of a model by its name or an alias, ignoring case."""
    spelling, names = name.lower(), card_names()
    if spelling in names:
        return read_card(spelling)
    return next((card for card in map(read_card, names) if spelling in map(str.lower, card.aliases)), None)


def get_card(name: str) -> Card:
    """As `find_card`. Raises: UserError suggesting the nearest name and listing all names."""
    if card := find_card(name):
        return card
    suggestion = did_you_mean(name)
    raise UserError(f"{name}: unknown model;{suggestion} expected one of {', '.join(card_names())}, or an alias")


def did_you_mean(name: str) -> str:
    """` did you mean 'rbt3'?`, or an empty string."""
    known = {spelling.lower(): spelling for card in map(read_card, card_names()) for spelling in (*card.aliases, card.name)}
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.75)
    return f" did you mean {known[close[0]]!r}?" if close else ""
