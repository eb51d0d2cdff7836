"""Exit with 0 if a window can be opened here, with 1 if not.

Asking the display itself matters: with DISPLAY left over from a closed session there is none.
"""

from __future__ import annotations

import sys

from gui.display import has_display

if __name__ == "__main__":
    sys.exit(not has_display())
