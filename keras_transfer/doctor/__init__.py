"""Looks for what would stop a run on this machine, and says how to mend it."""

from keras_transfer.doctor.diagnosis import diagnose
from keras_transfer.doctor.finding import Finding

__all__ = ["Finding", "diagnose"]
