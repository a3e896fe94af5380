"""The errors a user can meet, each with the exit code of the command line.

A message is one line a problem: where, what was found, what was expected, what to do.
Anything that is not one of these is a defect of ours and shows a traceback.
"""


class WholewordError(Exception):
    """Base of everything that is reported without a traceback."""

    exit_code = 1


class UserError(WholewordError, ValueError):
    """The user's input: a recipe, an argument, a file's content."""

    exit_code = 2


class OtherOriginError(UserError):
    """A folder holds what was made from something else than is asked for now."""


class RecipeError(UserError):
    """One or more problems of a recipe; `problems` holds one line each."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class IntegrityError(WholewordError):
    """A file is not what its manifest says: changed, cut short, swapped or missing."""

    exit_code = 3


class PluginError(WholewordError):
    """A plugin is broken, missing, ambiguous or breaks its contract."""

    exit_code = 4


class KernelError(PluginError):
    """What an optimizer's `build` returned is nothing that the backend can use. Raised by backends; core adds whose optimizer it is."""


class NetworkError(WholewordError):
    """Something could not be fetched."""

    exit_code = 5


class DiskError(WholewordError, OSError):
    """No space left, or the file system refused."""

    exit_code = 74


class DivergedError(WholewordError):
    """A loss that is not a number: names the step and the samples of the batch."""

    exit_code = 1
