"""Convscope beside its peers, in one process and one run."""

from __future__ import annotations
