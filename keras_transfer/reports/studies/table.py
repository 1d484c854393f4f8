"""Which folder is which study, and the module that makes its page."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_transfer.errors import BadConfiguration, TransferError
from keras_transfer.runs.records import RUN, SERIES, damaged, read_record

if TYPE_CHECKING:
    from keras_transfer.reports.study import StudyPage

__all__ = ["STUDIES", "Study", "study_in"]


class Study(NamedTuple):
    """A sort of folder.

    Attributes:
        record: The file that such a folder has.
        module: With ``page(folder)``; imported when it is needed: it imports Matplotlib.
        kind: What the record says of its "kind"; empty: nothing.
    """

    record: str
    module: str
    kind: str = ""

    def page(self, folder: Path) -> StudyPage:
        """What the page of such a folder says.

        Raises:
            BadConfiguration: The study is not finished.
            BadData: A file of it is damaged.
        """
        record = read_record(folder / self.record, {})
        if record.get("status", "done") != "done":
            raise BadConfiguration(
                f"The {self.kind} in {folder} is not finished (it is {record['status']!r}). "
                f"Finish it: the command that began it, with --out {folder} --resume."
            )
        make: Callable[[Path], Any] = import_module(self.module).page
        try:
            return make(folder)
        except TransferError:
            raise
        # Records of earlier versions, or edited ones, may lack what a page says.
        except (LookupError, TypeError, ValueError) as error:
            raise damaged(folder / self.record, error) from error


HOME = __name__.rpartition(".")[0]
STUDIES = (
    Study(SERIES, f"{HOME}.seeds", "seeds"),
    Study(SERIES, f"{HOME}.curve", "curve"),
    Study("search.json", f"{HOME}.search"),
    Study("ranking.json", f"{HOME}.ranking"),
    Study("domains.json", f"{HOME}.domains"),
    Study("lr_find.json", f"{HOME}.sweep"),
)


def study_in(folder: Path) -> Study | None:
    """The study that a folder holds; None for a run, which may hold a sweep or a ranking too."""
    if (folder / RUN).exists():
        return None
    for study in STUDIES:
        path = folder / study.record
        if path.exists() and study.kind in ("", read_record(path, {}).get("kind")):
            return study
    return None
