"""The vocabulary, the bundle format and the places that hold content: common to both tools."""

__version__ = "0.1.0"
