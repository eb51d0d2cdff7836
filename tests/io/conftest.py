"""Fixtures of the tests of files: the command line, as its own tests have it."""

from __future__ import annotations

from tests.unit.conftest import convscope

__all__ = ["convscope"]
