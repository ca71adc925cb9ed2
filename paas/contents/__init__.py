"""What is in images and containers: files, how two of them differ, packages, settings. Reads, runs nothing."""

from paas.contents.changes import Change, Changes, compare
from paas.contents.packages import Package, packages
from paas.contents.settings import settings_of
from paas.contents.stack import Entry, Stack

__all__ = ["Change", "Changes", "Entry", "Package", "Stack", "compare", "packages", "settings_of"]
