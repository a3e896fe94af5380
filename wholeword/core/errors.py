"""The errors that users see, each with the exit code of the command line.

A message has one line for each problem: where it is, what is there, what was expected, what to do. Any other exception is a bug of
wholeword and shows a traceback.
"""


class WholewordError(Exception):
    """Base of all errors that are reported without a traceback."""

    exit_code = 1


class UserError(WholewordError, ValueError):
    """Invalid input: a recipe, an argument, the content of a file."""

    exit_code = 2


class InputWarning(UserWarning):
    """Input that is accepted, but in part has no effect, such as an entry of a word list that can never match."""


class OtherOriginError(UserError):
    """A folder holds the output of different input."""


class RecipeError(UserError):
    """Problems in a recipe; `problems` has one line for each."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class IntegrityError(WholewordError):
    """A file does not match its manifest: changed, truncated, swapped or missing."""

    exit_code = 3


class PluginError(WholewordError):
    """A plugin is broken, its library is missing, or it breaks its contract."""

    exit_code = 4


class UnknownPluginError(PluginError):
    """A name that no plugin has: the user's input, although whatever catches PluginError catches it too."""

    exit_code = UserError.exit_code


class AmbiguousPluginError(PluginError):
    """A name that several distributions offer: the user's input too, since `distribution:name` says which is meant."""

    exit_code = UserError.exit_code


class BrokenPluginsError(RecipeError, PluginError):
    """A recipe whose only problems are plugins that cannot be loaded."""

    exit_code = PluginError.exit_code


class KernelError(PluginError):
    """An optimizer's `build` returned something the backend cannot use. Raised by backends; core adds the optimizer's origin."""


class NetworkError(WholewordError):
    """A download failed."""

    exit_code = 5


class DiskError(WholewordError, OSError):
    """No space left, or the file system refused."""

    exit_code = 74


class NoRoomError(UserError, DiskError):
    """A disk has too little room for what a run will write; found before anything is written."""


class DivergedError(WholewordError):
    """The loss is not a number; the message names the step and the samples of the batch."""

    exit_code = 1


class Interrupted(WholewordError):
    """What was being computed was abandoned, because the run is to stop."""

    exit_code = 130
