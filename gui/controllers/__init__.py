"""The only code that knows models, views and the worker."""
