"""Errors, by what the user can do about them.

TransferError
├── BadConfiguration    change the recipe, the option or the file of options (exit code 2)
│   └── UnknownName     correct the name (exit code 2)
├── BadData             mend or leave out the images (exit code 3)
│   └── BadFeatures     give other rows of features, labels or domains (exit code 3)
├── BadWeights          get other weights (exit code 3)
└── CheckFailed         a check found what it looks for: leak, parity, NaN (exit code 4)

The command prints these without a traceback; everything else is a bug and shows its own.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

__all__ = [
    "BadConfiguration",
    "BadData",
    "BadFeatures",
    "BadWeights",
    "CheckFailed",
    "TransferError",
    "UnknownName",
    "in_setting",
]


class TransferError(Exception):
    """Errors that the user can fix; base of all others."""

    exit_code = 1


class BadConfiguration(TransferError):
    """A setting, an option or a combination of them makes no sense."""

    exit_code = 2


# Also a KeyError, so that a Table behaves like a dict for `except KeyError`.
class UnknownName(BadConfiguration, KeyError):
    """No item has this name; the message suggests the nearest one.

    Args:
        what: The type of item, e.g. ``"backbone"``.
        name: The requested name.
        known: The names that exist.
        all_names: Whether the message lists them even where one is near.
    """

    def __init__(
        self, what: str, name: object, known: Iterable[object], *, all_names: bool = False
    ):
        self.what, self.name, self.known = what, name, [str(row) for row in known]
        self.all_names = all_names
        super().__init__(f"No {what} is called {str(name)!r}. {self._cure()}")

    def within(self, setting: str) -> "UnknownName":
        """The same error, which names the setting that the name stands in."""
        error = UnknownName(self.what, self.name, self.known, all_names=self.all_names)
        # Through args, since __init__ composes the message from its arguments.
        error.args = (f"{setting}: {error}",)
        return error

    def _cure(self) -> str:
        near = self._nearest()
        if near and not self.all_names:
            return f"Did you mean {near!r}?"
        if not self.known:
            return "There are none."
        # A model may know thousands of classes.
        listed = ", ".join(self.known[:30]) + (", ..." if len(self.known) > 30 else "")
        return (f"Did you mean {near!r}? " if near else "") + f"There are: {listed}."

    def _nearest(self) -> str:
        """The most similar name; "" if none is similar."""
        name = str(self.name).lower()
        # A long path in common, as of input.augment.flip, would make any two settings similar.
        path = name.rpartition(".")[0]
        before = f"{path}." if path else ""
        lowered = {known.lower().removeprefix(before): known for known in self.known}
        near = get_close_matches(name.removeprefix(before), lowered, n=1, cutoff=0.6)
        return lowered[near[0]] if near else ""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message in quotes


@contextmanager
def in_setting(name: str) -> Iterator[None]:
    """Name the setting in which a wrong name stands that is found while this lasts."""
    try:
        yield
    except UnknownName as error:
        # Without a cause: the user should see one message, not two.
        raise error.within(name) from None


class BadData(TransferError):
    """The data cannot be used as they are.

    Args:
        message: What is wrong, what was found, what to do.
        offenders: The images or rows at fault, one line each; the message shows the first
            ten and how many there are.
    """

    exit_code = 3

    def __init__(self, message: str, offenders: Iterable[str] = ()):
        self.offenders = list(offenders)
        # A data set may have a million bad files; all of them stay in `offenders`.
        shown = [f"\n  {offender}" for offender in self.offenders[:10]]
        rest = len(self.offenders) - len(shown)
        super().__init__(message + "".join(shown) + (f"\n  ... and {rest} more" if rest else ""))


# Also a ValueError, as scikit-learn expects of its estimators.
class BadFeatures(BadData, ValueError):
    """An estimator cannot use these rows of features, their labels or their domains."""


class BadWeights(TransferError):
    """The weights cannot be found, read or put into this network."""

    exit_code = 3


class CheckFailed(TransferError):
    """A check failed."""

    exit_code = 4
