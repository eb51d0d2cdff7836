"""Docks, one per panel: each shows a part of a snapshot and says what the person did, no more."""
