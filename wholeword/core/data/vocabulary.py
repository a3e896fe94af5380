"""The earlier place of `wholeword.core.vocabulary`, for programs that import it from here."""

from wholeword.core.vocabulary import Vocabulary as Vocabulary
