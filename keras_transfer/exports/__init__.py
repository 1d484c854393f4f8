"""From a finished run to a file that answers as its model does, and back from the file."""

from keras_transfer.exports.export import export
from keras_transfer.exports.exported import Export

__all__ = ["Export", "export"]
