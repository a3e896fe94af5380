"""What the checks give to plugins: real sentences with everything that trips, and random rows."""

import numpy as np

from wholeword.core.bert.config import model_config
from wholeword.core.bert.shapes import initial_weights
from wholeword.core.contracts import ModelFiles, Provenance
from wholeword.core.vocabulary import SPECIAL_PIECES, Vocabulary

SENTENCES = (
    "使用语言模型来预测下一个词的probability。",
    "他说今年的鱼比去年少了许多，可是价格涨了将近30%。",
    "老板以前是一名程序员，会写Python和C++。",
    "图书馆的新系统将于2027年3月1日上线。",
    "“真的吗？”她笑着问——没有人回答……",
    "ＡＢＣ１２３是全角字符，é是重音，한국어和ひらがな也会出现。",
    "臺灣的繁體中文，𠮷野家的第一個字在擴展區。",
    "😀表情🇨🇳、零宽\u200b空格、\u3000全角空格和\ttab。",
    "New York 和 deep learning 之间有 空格 ",
    " ",
    "。",
    "a",
)
LINES = (*SENTENCES, "", "\0", "<p>版权所有&nbsp;&copy; 2027</p>&#10;", "行尾的回车\r", "\u2028分行符\x85")


def random_batch() -> tuple[Vocabulary, tuple[np.ndarray, ...]]:
    """1,000 rows of 128: [CLS] A [SEP] B [SEP] and padding, words of one to six pieces."""
    vocabulary = Vocabulary([*SPECIAL_PIECES, *(chr(0x4E00 + number) for number in range(500))])
    generator = np.random.default_rng(20190620)
    rows, length = 1000, 128
    ids = generator.integers(len(SPECIAL_PIECES), len(vocabulary), (rows, length))
    sizes = generator.integers(12, length + 1, rows)
    middle = (sizes * generator.uniform(0.2, 0.8, rows)).astype(int)
    places = np.arange(length)
    ids[:, 0] = vocabulary.cls_id
    ids[np.arange(rows), middle] = vocabulary.sep_id
    ids[np.arange(rows), sizes - 1] = vocabulary.sep_id
    ids[places >= sizes[:, None]] = vocabulary.pad_id
    candidates = ids >= len(SPECIAL_PIECES)
    word_starts = generator.random((rows, length)) < 0.6
    return vocabulary, (ids.astype(np.int32), word_starts, candidates, np.arange(rows, dtype=np.uint64))


def tiny_model() -> ModelFiles:
    """A BERT with random weights: two layers of width 8, and a vocabulary of the characters of `SENTENCES`."""
    characters = sorted(
        {character for sentence in SENTENCES for character in sentence.lower() if character.isprintable() and character.strip()}
    )
    vocabulary = Vocabulary([*SPECIAL_PIECES, *characters])
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    config = model_config(sizes, vocab_size=len(vocabulary))
    return ModelFiles(
        config, initial_weights(config, seed=1), vocabulary, lowercase=True, next_sentence=True, provenance=Provenance(name="tiny")
    )
