"""An audit as a page to read and to send."""

from keras_mhe.reports._report import write_report

__all__ = ["write_report"]
