"""A plugin with one cleaner: traditional to simplified characters and back, used from a recipe by the name `opencc`."""

from wholeword import hookimpl


@hookimpl
def register_cleaners(register):
    register("opencc", "wholeword_opencc.cleaner:OpenCC")
