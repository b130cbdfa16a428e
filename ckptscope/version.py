"""Versions of the package and of the JSON that it prints."""

VERSION = "0.1.0"
FORMAT_VERSION = "1.0"
