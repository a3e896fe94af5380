"""transformers' BERT, without what it would initialise."""

import torch
import transformers
from transformers import BertForPreTraining

from wholeword.core.bert.gelu import ACTIVATIONS
from wholeword.core.contracts import BertConfig


def build_model(config: BertConfig, device: torch.device) -> BertForPreTraining:
    """transformers' model with SDPA attention, its parameters not initialised."""
    activation = ACTIVATIONS[config.hidden_act].transformers
    # subtle: without `pad_token_id` the embedding of [PAD] learns like any other, as in Google's code; random replacements draw it.
    bert_config = transformers.BertConfig(
        **{**config.to_dict(), "hidden_act": activation, "pad_token_id": None, "attn_implementation": "sdpa"}
    )
    with torch.device("meta"):
        model = BertForPreTraining(bert_config)
    model.to_empty(device=device)
    model.tie_weights()
    embeddings = model.bert.embeddings
    embeddings.position_ids.copy_(torch.arange(config.max_position_embeddings))
    embeddings.token_type_ids.zero_()
    return model
