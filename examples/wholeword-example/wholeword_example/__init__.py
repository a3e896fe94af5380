"""A whole plugin: one segmenter and one masking strategy, used from a recipe by the names `longest-match` and `content-words`.

This module only registers them, so that listing plugins stays quick; the objects are imported when a recipe names them.
"""

from wholeword import hookimpl


@hookimpl
def register_segmenters(register):
    register("longest-match", "wholeword_example.segmenter:LongestMatch")


@hookimpl
def register_masking(register):
    register("content-words", "wholeword_example.masking:ContentWords")
