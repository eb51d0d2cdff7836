"""Widgets that know arrays and plain values only: no engine, no models, no controllers.

Nothing is imported here, so that `gui.theme` can use `gui.widgets.numbers` without a cycle.
"""
