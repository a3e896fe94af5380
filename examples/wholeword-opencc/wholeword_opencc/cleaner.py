from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import opencc

Config = Literal["t2s", "s2t", "tw2s", "s2tw", "tw2sp", "s2twp", "hk2s", "s2hk", "t2tw", "tw2t", "t2hk", "hk2t", "t2jp", "jp2t"]


class OpenCC:
    """Converts by OpenCC's dictionaries, phrase by phrase: 頭髮 is 头发, 發展 is 发展, 乾燥 is 干燥, 乾坤 stays.

    Args:
        config: from what to what: t traditional, s simplified, tw of Taiwan, hk of Hong Kong, jp Japanese; with p, words are changed too.
    """

    def __init__(self, *, config: Config = "t2s"):
        self._converter = opencc.OpenCC(config)
        self.version = f"OpenCC {version('OpenCC')}"  # its dictionaries are part of it

    def clean(self, lines: Sequence[str]) -> list[str]:
        return [self._converter.convert(line) for line in lines]
