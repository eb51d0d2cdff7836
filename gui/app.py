"""`convscope app`: start the window, or render it to a picture and leave.

The hooks against unhandled exceptions come first, then Qt and the window; the engine is imported
by the worker thread once the window is on screen.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from engine.commands.streams import output_problem
from engine.errors import FormatError
from engine.io.files import check_writable
from gui import crash, display

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QApplication

    from gui.controllers.app import AppController
    from gui.window import MainWindow
    from gui.worker.thread import Bench, Outlets

READY_TIMEOUT_S = 240.0
"""A cold machine compiles kernels first."""
SIGNALLED = 128
"""Above it, an exit code names the signal that ended the process."""


class UsageError(Exception):
    """What was asked for cannot be done; the text is the one line that is printed."""


@dataclass(frozen=True, slots=True)
class Place:
    """An element to stop at: layer, index with the sample first, and the number of a term."""

    layer: str
    index: tuple[int, ...] | None = None
    term: int | None = None


def parse_size(text: str) -> tuple[int, int]:
    """Return (width, height) of ``"1280x800"``.

    Raises
    ------
    UsageError
        If it is anything else or outside 640x400 to 7680x4320.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"--size: expected WIDTHxHEIGHT such as 1280x800, received {text!r}")
    width, height = int(parts[0]), int(parts[1])
    if not (640 <= width <= 7680 and 400 <= height <= 4320):
        raise UsageError(f"--size: expected 640x400 to 7680x4320, received {text!r}")
    return width, height


def parse_place(text: str) -> Place:
    """Return the place of ``"conv2"``, ``"conv2:0,5,7,4"`` or ``"conv2:0,5,7,4@45"``.

    Raises
    ------
    UsageError
        If the text has another form.
    """
    layer, _, rest = text.partition(":")
    numbers, at, term = rest.partition("@")
    try:
        if not layer or (":" in text and not numbers) or (at and not term):
            raise ValueError
        index = tuple(int(part) for part in numbers.split(",")) if numbers else None
        return Place(layer, index, int(term) if term else None)
    except ValueError:
        raise UsageError(
            f"--at: expected LAYER:INDEX such as conv2:0,5,7,4, received {text!r}"
        ) from None


@dataclass(frozen=True, slots=True)
class Options:
    """How the app is started.

    Parameters
    ----------
    run : str
        Path of a run file; empty opens the bundled net.
    size : (int, int) or None
    place : Place or None
    theme, layout : str
        Empty takes what the settings say.
    reset : bool
        Forget saved arrangements.
    private : bool
        Neither read nor write the person's settings.
    """

    run: str = ""
    size: tuple[int, int] | None = None
    place: Place | None = None
    theme: str = ""
    layout: str = ""
    reset: bool = False
    private: bool = False


def process_age_s() -> float:
    """Return the seconds since this process began, as far as the system tells."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, AttributeError, IndexError):
        return time.perf_counter() - _IMPORTED


_IMPORTED = time.perf_counter()


def engine_bench(outlets: Outlets) -> Bench:
    """Return the bench with the real engine; called in the worker thread, imports it there."""
    from gui.worker.bench import EngineBench

    return EngineBench(outlets)


def still_bench(outlets: Outlets) -> Bench:
    """Return a bench that prepares nothing in the background: for pictures."""
    from gui.worker.bench import EngineBench

    return EngineBench(outlets, prepare=False)


def make_qt(screenshot: bool) -> QApplication:
    """Return the application object of Qt.

    Raises
    ------
    UsageError
        If there is no display, or a library that Qt needs is missing.
    """
    try:
        from PyQt6.QtWidgets import QApplication
    except ImportError as error:
        raise UsageError(
            f"Qt cannot start ({error}); on Debian: apt install libegl1 libgl1 libxkbcommon0 "
            "libdbus-1-3 libfontconfig1 libxcb-cursor0"
        ) from None
    sys.setswitchinterval(0.001)
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        app = existing
    else:
        try:
            display.choose_platform(screenshot)
        except display.NoDisplay as error:
            raise UsageError(str(error)) from None
        started = crash.quiet_qt(display.qt_sentence)
        app = QApplication(["convscope"])
        started()
        display.let_go()
        display.speak_english()
        if not app.screens():
            raise UsageError(f"Qt finds no screen here; {display.PICTURE_HINT}")
    app.setApplicationName("Convscope")
    app.setStyle("Fusion")
    return app


class Application:
    """The running app.

    Parameters
    ----------
    options : Options
    make_bench : callable
        Makes what the worker thread drives; tests may put another one here.
    offscreen : bool
        Build everything, but do not show it on the display.
    """

    def __init__(
        self,
        options: Options,
        make_bench: Callable[[Outlets], Bench] = engine_bench,
        offscreen: bool = False,
    ) -> None:
        crash.install()
        self.options = options
        self.qt = make_qt(offscreen)
        from PyQt6.QtCore import QSize, Qt

        from gui import theme
        from gui.controllers.app import AppController
        from gui.settings import Settings, read_settings, settings_path, write_settings
        from gui.shelf import Shelf, state_folder
        from gui.window import MainWindow
        from gui.worker.thread import Worker

        path = settings_path()
        settings, problem = (Settings(), "") if options.private else read_settings(path)
        if options.reset:
            settings.states, settings.geometry, settings.layout = {}, "", "Debug"
        theme.set_font_scale(settings.font_scale)
        theme.apply(self.qt, theme.THEMES.get(options.theme or settings.theme, theme.DARK))
        self.first_paint_s: float | None = None
        self.ready_s: float | None = None
        self.window: MainWindow = MainWindow()
        if offscreen and self.qt.platformName() != "offscreen":
            self.window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)

        def save(kept: Settings) -> None:
            if options.private:
                return
            kept.geometry = self.window.geometry_text()
            try:
                write_settings(path, kept)
            except FormatError as error:
                if not problem:  # else the window has said so
                    _complain(f"the settings are not kept: {error}")

        self.worker = Worker(make_bench)
        shelf = None if options.private else Shelf(state_folder())
        self.controller: AppController = AppController(
            self.window, self.window, self.worker, settings, save, shelf
        )
        self.controller.greets = not options.private
        self.terminated: int | None = None
        self.window.files_dropped.connect(self.controller.inputs.open_paths)
        self.window.recent_chosen.connect(self.controller.files.open_run)
        self.window.first_painted.connect(self._painted)
        self.window.fit_screen(QSize(*options.size) if options.size else None, settings.geometry)
        self.controller.appearance.open_layout(options.layout or settings.layout)
        if settings.theme == "system" and not options.theme:
            self.controller.appearance.use_theme("system")
        if problem:
            self.controller.desk.notify("warning", problem, "")
            self.controller.keeping.told = True

    def _painted(self) -> None:
        self.first_paint_s = process_age_s()

    def start(self) -> None:
        """Show the window, then start the worker and open the run."""
        self.window.show()
        self.window.activateWindow()
        for panel in (self.window.panels.map, self.window.panels.network):
            if panel.isVisible():  # a picture has the focus, so that the arrows step at once
                panel.view.setFocus()
                break
        self.controller.start()
        options = self.options
        last = self.controller.keeping.state.last_run
        if options.run:
            self.worker.submit("open_run", options.run)
        elif last:
            self.worker.submit("open_last", last)
        else:
            self.worker.submit("open_default")
        if options.place is not None:
            place = options.place
            self.worker.submit("run_to", place.layer, None, place.index, place.term)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Run the event loop until `condition` holds; False after the time."""
        from PyQt6.QtCore import QEventLoop

        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end or self.terminated is not None:
                return False
            self.qt.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
            time.sleep(0.002)
        return True

    def settle(self, timeout_s: float = READY_TIMEOUT_S) -> bool:
        """Wait until the worker has done all that was asked and the panels show it."""
        desk = self.controller.desk
        answers: list[object] = []
        self.controller.poll.answered["echo"] = answers.append
        self.worker.submit("echo", time.monotonic())

        def done() -> bool:
            return bool(answers) or desk.session.state == "failed"

        if not self.wait_until(done, timeout_s):
            return False
        for _ in range(4):
            self.wait_until(lambda: False, 0.03)
            self.controller.show.finish()
        if self.ready_s is None:
            self.ready_s = process_age_s()
        return desk.session.state != "failed"

    def run(self) -> int:
        """Run the event loop until the window closes or a signal ends it; return the exit code."""
        code = self.qt.exec() if self.terminated is None else 0
        if self.terminated is None:
            return code
        self.controller.terminate()
        return self.terminated

    def close(self) -> None:
        """End the worker and take the window away."""
        from PyQt6.QtCore import QEvent

        self.settings_confirm(False)
        self.window.close()
        self.window.deleteLater()
        self.wait_until(lambda: False, 0.02)
        self.qt.sendPostedEvents(None, int(QEvent.Type.DeferredDelete.value))

    def settings_confirm(self, confirm: bool) -> None:
        """Set whether closing asks first."""
        self.controller.settings.confirm_close = confirm


def render(options: Options, path: Path) -> Application:
    """Render the window to a PNG file.

    Raises
    ------
    UsageError
        If the run cannot be opened, the place does not exist or the file cannot be written.
    """
    try:
        check_writable(path)  # drawing takes seconds
    except FormatError as error:
        raise UsageError(f"--screenshot: {error}") from None
    application = Application(options, still_bench, offscreen=True)
    from gui.saving import save_png

    problems: list[str] = []
    application.controller.desk.notify = lambda level, text, _detail: (
        problems.append(text) if level != "info" else None
    )
    try:
        application.start()
        ready = application.settle()
        if problems:
            raise UsageError(problems[0])
        if not ready:
            raise UsageError("the run was not ready in time")
        save_png(application.window.grab(), path)
    except FormatError as error:
        raise UsageError(str(error)) from None
    finally:
        application.close()
    return application


def _complain(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"convscope: {' '.join(text.split())}\n")
        sys.stderr.flush()


def _fail(text: str) -> typer.Exit:
    _complain(text)
    return typer.Exit(2)


def command(
    run: Annotated[
        Path | None, typer.Argument(help="A run file; none opens the bundled net.")
    ] = None,
    screenshot: Annotated[
        Path | None, typer.Option(help="Render the window to this PNG file and leave.")
    ] = None,
    size: Annotated[str, typer.Option(help="Size of the window, WIDTHxHEIGHT.")] = "",
    at: Annotated[str, typer.Option(help="Stop at LAYER:INDEX, for example conv2:0,5,7,4.")] = "",
    theme: Annotated[str, typer.Option(help="dark, light or system.")] = "",
    layout: Annotated[str, typer.Option(help="Learn, Debug or Train.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the start-up times as JSON.")
    ] = False,
    reset: Annotated[bool, typer.Option(help="Forget saved layouts.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of the kernels; all cores but one.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of networks that are started afresh; random.")
    ] = None,
) -> None:
    """Open the window on a run file, or render it to a picture."""
    crash.install()
    try:
        options = read_options(run, size, at, theme, layout, reset, screenshot is not None)
        if device not in ("cpu", "cuda", "auto"):
            raise UsageError(f"--device: expected cpu, cuda or auto, received {device!r}")
        from gui.worker import runs

        runs.prefer(device, threads, seed)
        if screenshot is not None:
            if screenshot.suffix.lower() != ".png":
                raise UsageError(f"--screenshot: expected a .png file, received {screenshot}")
            application = render(options, screenshot)
            if as_json:
                _tell(application, {"screenshot": str(screenshot)})
            leave(0)
        application = Application(options)
    except UsageError as error:
        raise _fail(str(error)) from None
    leave_on_signals(application)
    application.start()
    if as_json and application.settle():
        _tell(application, {})
    leave(application.run())


def leave_on_signals(application: Application) -> None:
    """Close on Ctrl-C, on termination and when the terminal goes, without a question.

    What is not saved is kept on the way out; see `AppController.terminate`.
    """

    def close(number: int, _: object) -> None:
        application.terminated = 128 + number
        application.qt.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, close)
    hangup = getattr(signal, "SIGHUP", None)
    # A process that shall outlive its terminal (nohup) was told so before it began.
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        signal.signal(hangup, close)


def leave(code: int) -> NoReturn:
    """End the command; kernels that still compile in the background are left behind.

    A thread inside the compiler cannot be stopped, and the interpreter must not be taken down
    under it, so in that case the process ends at once. Everything is saved by then. The same after
    a signal: whoever sent it is told nothing.
    """
    names = ("convscope-compiler", "convscope-reader", "convscope-worker")
    left = any(thread.name in names and thread.is_alive() for thread in threading.enumerate())
    if left or code > SIGNALLED:
        problem = output_problem()  # it flushes
        if problem is not None:
            _complain(problem)
        sys.stderr.flush()
        os._exit(code or (2 if problem is not None else 0))
    raise typer.Exit(code)


def read_options(
    run: Path | None, size: str, at: str, theme: str, layout: str, reset: bool, private: bool
) -> Options:
    """Check the command line.

    Raises
    ------
    UsageError
        With the one line to print.
    """
    if run is not None and not run.is_file():
        raise UsageError(f"{run}: there is no such run file")
    if theme and theme not in ("dark", "light", "system"):
        raise UsageError(f"--theme: expected dark, light or system, received {theme!r}")
    if layout and layout not in ("Learn", "Debug", "Train"):
        raise UsageError(f"--layout: expected Learn, Debug or Train, received {layout!r}")
    return Options(
        run=str(run) if run is not None else "",
        size=parse_size(size) if size else ((1280, 800) if private else None),
        place=parse_place(at) if at else None,
        theme=theme or ("dark" if private else ""),
        layout=layout,
        reset=reset,
        private=private,
    )


def _tell(application: Application, more: dict[str, str]) -> None:
    times = {
        "first_paint_s": round(application.first_paint_s or 0.0, 3),
        "ready_s": round(application.ready_s or 0.0, 3),
    }
    sys.stdout.write(json.dumps({**times, **more}) + "\n")
    sys.stdout.flush()
