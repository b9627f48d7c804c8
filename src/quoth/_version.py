"""The version, written once: the build reads it from here, and so does `quoth.__version__`."""

__version__ = "0.1.0"
