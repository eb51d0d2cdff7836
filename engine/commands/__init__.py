"""The subcommands of `convscope`, one module for each or for a few that belong together.

`engine.cli` lists them by name and imports a module when its command is called, so that starting
the window does not wait for what training needs.
"""

from __future__ import annotations
