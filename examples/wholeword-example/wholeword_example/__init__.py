"""A plugin package with one object of every kind, each in a file of its own.

This module only registers them, so that listing plugins stays fast; an object is imported when a recipe or the command line names it.
"""

from wholeword import hookimpl


@hookimpl
def register_corpus_formats(register):
    register("titled", "wholeword_example.corpus_format:Titled")


@hookimpl
def register_cleaners(register):
    register("mask-digits", "wholeword_example.cleaner:MaskDigits")


@hookimpl
def register_segmenters(register):
    register("longest-match", "wholeword_example.segmenter:LongestMatch")


@hookimpl
def register_masking(register):
    register("content-words", "wholeword_example.masking:ContentWords")


@hookimpl
def register_schedules(register):
    register("triangle", "wholeword_example.schedule:Triangle")


@hookimpl
def register_optimizers(register):
    register("sgd", "wholeword_example.optimizer:Sgd")


@hookimpl
def register_backends(register):
    register("pytorch-cpu", "wholeword_example.backend:OnCpu")


@hookimpl
def register_trackers(register):
    register("csv", "wholeword_example.tracker:Csv")


@hookimpl
def register_exporters(register):
    register("npz", "wholeword_example.exporter:Npz")


@hookimpl
def register_zoo_sources(register):
    register("npz", "wholeword_example.zoo_source:Npz")


@hookimpl
def register_tasks(register):
    register("reviews", "wholeword_example.task:Reviews")


@hookimpl
def register_commands(register):
    register("count", "wholeword_example.command:count", help="Count the characters of text files.")
