"""See to it that Qt finds the system libraries it needs: by apt if possible, else say which.

Qt's wheels bring Qt, but not the libraries of the system that Qt talks to, and a plain Debian has
none of them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Library to Debian package, from the libraries that Qt's own and its plug-ins are linked with.
NEEDED = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libX11.so.6": "libx11-6",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}
# Only a real window needs these; pictures of it are drawn without.
NEEDED_ON_SCREEN = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
FONTS = "fonts-dejavu-core"


def main() -> int:
    """Return 0 if Qt can draw, 1 if something it cannot do without is missing."""
    if not sys.platform.startswith("linux"):
        return 0
    packages = missing_packages()
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing the system libraries of Qt: {' '.join(packages)} ...", flush=True)
        install(packages)
        packages = missing_packages()
    if not packages:
        return 0
    print(
        f"Qt lacks system libraries; run: sudo apt-get install {' '.join(packages)}",
        file=sys.stderr,
    )
    return 1 if set(packages) & {*NEEDED.values(), FONTS} else 0


def missing_packages() -> list[str]:
    """Return the Debian packages of what is not there."""
    libraries = NEEDED | NEEDED_ON_SCREEN
    packages = {package for library, package in libraries.items() if not is_there(library)}
    if not any(has_fonts(Path(folder).expanduser()) for folder in FONT_FOLDERS):
        packages.add(FONTS)
    return sorted(packages)


def is_there(library: str) -> bool:
    """Return whether the system's loader finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_fonts(folder: Path) -> bool:
    """Return whether a folder holds a font: without any, Qt draws empty boxes."""
    return any(file.suffix.lower() in {".ttf", ".otf", ".ttc"} for file in folder.rglob("*"))


def install(packages: list[str]) -> None:
    """Install Debian packages, quietly unless it fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "--yes", "--no-install-recommends", *packages],
    ):
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            print(result.stdout + result.stderr, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
