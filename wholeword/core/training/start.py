"""The first weights of a run: random, or another model's, cut, grown and renewed as the recipe says."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wholeword.core.bert.config import SIZES, model_config
from wholeword.core.bert.growth import grow_model
from wholeword.core.bert.shapes import initial_weights, renew, take_layers
from wholeword.core.config.locations import read_model, zoo_name
from wholeword.core.contracts import BertConfig
from wholeword.core.errors import UserError
from wholeword.core.vocabulary import Vocabulary

if TYPE_CHECKING:
    from wholeword.core.config import Recipe
    from wholeword.core.contracts import Tensors

CHANGEABLE = {"hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "hidden_act"}  # of a model that is there already


def starting_model(recipe: "Recipe", vocabulary: Vocabulary) -> tuple[BertConfig, "Tensors", dict[str, Any]]:
    """What `model` says: configuration, weights, and where they come from, for the model card.

    Args:
        vocabulary: of the token store.
    Raises: UserError if the recipe asks for what the model it starts from is not.
    """
    section = recipe.model
    location = section.init_folder
    if location is None:
        config = model_config(section.sizes(), vocab_size=len(vocabulary))
        return config, initial_weights(config, recipe.seed), {"init": "random"}
    model = read_model(location, recipe.base_folder)
    if section.layers is not None:
        model = take_layers(model, section.layers)
    model = renew(model, section.renewed, recipe.seed)
    if recipe.tokenizer.add is not None:
        model = grow_model(model, vocabulary, rows=section.init.new_rows, seed=recipe.seed)
    if len(model.vocabulary) != len(vocabulary) or model.vocabulary.sha256 != vocabulary.sha256:
        raise UserError(
            f"model.init: {location} has {len(model.vocabulary)} pieces that are not the {len(vocabulary)} of the token store; "
            f"set tokenizer.vocab to {location if zoo_name(location) else f'{location}/vocab.txt'}"
        )
    said = section.sizes()
    asked = {key: value for key, value in model_config(said, vocab_size=len(vocabulary)).to_dict().items() if key in said}
    if section.size is not None:
        asked |= dict(zip(("num_hidden_layers", "hidden_size", "num_attention_heads"), SIZES[section.size], strict=True)) | asked
    for key in asked.keys() - CHANGEABLE:
        if asked[key] != getattr(model.config, key):
            raise UserError(f"model: {location} has {key} {getattr(model.config, key)}, the recipe asks for {asked[key]}; leave it out")
    origin = {"init": location, "layers": section.layers, "renewed": section.renewed, "next_sentence": model.next_sentence}
    return replace(model.config, **asked), model.weights, origin | model.provenance.to_dict()
