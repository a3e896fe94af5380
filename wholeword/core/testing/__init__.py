"""Checks for plugin authors: does my segmenter, my cleaner, my exporter, my task keep its contract?

    from wholeword.core.testing import check_segmenter

    def test_my_segmenter():
        check_segmenter(MySegmenter())

There is a check for every kind of plugin; docs/plugins/ has a page on each. A check raises AssertionError that says what was called, what
it returned and what was expected. Wholeword's own plugins pass through the same checks.
"""

from wholeword.core.testing.backend import check_backend
from wholeword.core.testing.cheap import CHEAP_CHECKS
from wholeword.core.testing.cleaner import check_cleaner
from wholeword.core.testing.command import check_command
from wholeword.core.testing.corpus_format import check_corpus_format
from wholeword.core.testing.exporter import check_exporter
from wholeword.core.testing.masking import check_masking
from wholeword.core.testing.optimizer import check_optimizer
from wholeword.core.testing.samples import LINES, SENTENCES, tiny_model
from wholeword.core.testing.schedule import check_schedule
from wholeword.core.testing.segmenter import check_segmenter
from wholeword.core.testing.task import check_task
from wholeword.core.testing.tracker import check_tracker
from wholeword.core.testing.zoo_source import check_zoo_source

__all__ = [
    "CHEAP_CHECKS",
    "LINES",
    "SENTENCES",
    "check_backend",
    "check_cleaner",
    "check_command",
    "check_corpus_format",
    "check_exporter",
    "check_masking",
    "check_optimizer",
    "check_schedule",
    "check_segmenter",
    "check_task",
    "check_tracker",
    "check_zoo_source",
    "tiny_model",
]
