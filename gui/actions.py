"""Everything a person can do, as one table of data: menus, toolbar, keys and sheet come from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["window", "canvas"]


@dataclass(frozen=True, slots=True)
class Action:
    """One entry.

    Parameters
    ----------
    id : str
        ``"debug.over"``; the controller's handlers are looked up by it.
    title : str
        As in menus and palette, with an ellipsis if a question follows.
    keys : tuple of str
        Default shortcuts in Qt's portable notation.
    menu : str
        The menu it stands in; empty for none. ``"View/Theme"`` makes a submenu.
    tip : str
        One sentence for tooltip, palette and sheet.
    scope : Scope
        ``"canvas"`` keys act only while a picture has the focus.
    word : str
        Short label for the toolbar; empty keeps it out of there.
    icon : str
        Sign before the word.
    checkable : bool
    separator : bool
        A line above it in its menu.
    """

    id: str
    title: str
    keys: tuple[str, ...] = ()
    menu: str = ""
    tip: str = ""
    scope: Scope = "window"
    word: str = ""
    icon: str = ""
    checkable: bool = False
    separator: bool = False


ACTIONS: tuple[Action, ...] = (
    Action("file.open_run", "Open run…", ("Ctrl+O",), "File", "Open a trained net (.safetensors)."),
    Action("file.open_image", "Open picture…", ("Ctrl+I",), "File", "Use a picture file as input."),
    Action("file.paste", "Paste picture", ("Ctrl+V",), "File", "Use the clipboard as input."),
    Action(
        "file.save_run",
        "Save run…",
        ("Ctrl+S",),
        "File",
        "Save weights, optimiser and position.",
        separator=True,
    ),
    Action(
        "file.export_png",
        "Export panel as PNG…",
        ("Ctrl+E",),
        "File",
        "Save a picture of the panel that has the focus.",
    ),
    Action(
        "file.export_npy",
        "Export tensor as NPY…",
        ("Ctrl+Shift+E",),
        "File",
        "Save the exact numbers of the selected tensor.",
    ),
    Action("file.quit", "Quit", ("Ctrl+Q",), "File", "Close the window.", separator=True),
    Action("edit.undo", "Undo", ("Ctrl+Z",), "Edit", "Take back a stroke or a breakpoint."),
    Action("edit.redo", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Edit", "Do it again."),
    Action(
        "edit.preferences",
        "Preferences…",
        ("Ctrl+,",),
        "Edit",
        "Theme, digits, speed.",
        separator=True,
    ),
    Action(
        "view.palette", "Command palette…", ("Ctrl+Shift+P",), "View", "Find any command by name."
    ),
    Action("view.theme", "Switch dark / light", ("Ctrl+Shift+T",), "View", "The other theme."),
    Action("view.fullscreen", "Full screen", ("F12",), "View", "Fill the screen.", checkable=True),
    Action(
        "view.fit",
        "Fit map",
        ("Ctrl+0",),
        "View",
        "Fit the selected map into its panel.",
        separator=True,
    ),
    Action("view.one_to_one", "Map 1:1", ("Ctrl+1",), "View", "One screen pixel per element."),
    Action(
        "view.products",
        "Products in the window",
        ("Ctrl+P",),
        "View",
        "Show the row of products below patch and weights.",
        checkable=True,
    ),
    Action(
        "window.lock",
        "Lock layout",
        (),
        "Window",
        "Panels cannot be dragged by accident.",
        checkable=True,
        separator=True,
    ),
    Action("window.reset", "Reset layout", (), "Window", "Put every panel back to its place."),
    Action(
        "debug.reverse_resume",
        "Back to stop",
        ("Alt+F5",),
        "Run",
        "Go back to the previous breakpoint.",
        word="Back to stop",
        icon="◀◀",
    ),
    Action(
        "debug.back",
        "Step back",
        ("Alt+F10",),
        "Run",
        "Undo the last step, exactly.",
        word="Back",
        icon="◁",
    ),
    Action(
        "debug.over",
        "Step over",
        ("F10",),
        "Run",
        "Compute the next thing at this level.",
        word="Over",
        icon="▷",
    ),
    Action(
        "debug.into",
        "Step into",
        ("F11",),
        "Run",
        "Go inside: layer, channel, pixel, term.",
        word="Into",
        icon="↓",
    ),
    Action(
        "debug.out",
        "Step out",
        ("Shift+F11",),
        "Run",
        "Finish this level and stop behind it.",
        word="Out",
        icon="↑",
    ),
    Action(
        "debug.resume",
        "Resume",
        ("F5",),
        "Run",
        "Run to the next breakpoint.",
        word="Resume",
        icon="▶",
    ),
    Action(
        "debug.pause",
        "Pause",
        ("F6",),
        "Run",
        "Stand still at the next place.",
        word="Pause",
        icon="❙❙",
    ),
    Action(
        "debug.stop",
        "Stop",
        ("Shift+F5",),
        "Run",
        "Start the pass over, before its first layer.",
        word="Stop",
        icon="■",
    ),
    Action(
        "debug.next_nan",
        "Next NaN or Inf",
        ("Ctrl+F11",),
        "Run",
        "Run to the first bad number.",
        word="Next NaN",
        icon="≫",
    ),
    Action(
        "debug.to_cursor",
        "Run to the selection",
        ("Ctrl+F10",),
        "Run",
        "Run to the selected layer and element.",
        separator=True,
    ),
    Action(
        "debug.pixel",
        "Debug the selected element",
        ("Ctrl+Return",),
        "Run",
        "Run to the selected element and go to its first term.",
    ),
    Action("debug.goto", "Go to…", ("Ctrl+G",), "Run", "Select an element by layer and index."),
    Action(
        "debug.follow", "Follow the cursor", ("Ctrl+L",), "Run", "Show the cursor's place again."
    ),
    Action(
        "debug.play",
        "Play",
        ("Ctrl+Space",),
        "Run",
        "Step by itself at the speed of the slider.",
        word="Play",
        icon="▶▶",
        checkable=True,
        separator=True,
    ),
    Action(
        "debug.breakpoint",
        "Toggle breakpoint",
        ("F9",),
        "Run",
        "Break before the selected layer.",
        separator=True,
    ),
    Action(
        "debug.add_breakpoint",
        "Add breakpoint…",
        ("Ctrl+F9",),
        "Run",
        "Break by layer, phase and condition.",
    ),
    Action(
        "program.forward",
        "Program: forward pass",
        (),
        "Run",
        "Step the forward pass of the shown picture.",
        checkable=True,
        separator=True,
    ),
    Action(
        "program.training",
        "Program: training step",
        (),
        "Run",
        "Step forward, loss, backward and update of a training batch.",
        checkable=True,
    ),
    Action(
        "train.start",
        "Start training",
        ("Ctrl+T",),
        "Train",
        "Train until paused or done.",
        word="Start",
        icon="▶",
    ),
    Action(
        "train.pause",
        "Pause training",
        (),
        "Train",
        "Stand still after this batch.",
        word="Pause",
        icon="❙❙",
    ),
    Action(
        "train.stop", "Stop training", (), "Train", "End the training run.", word="Stop", icon="■"
    ),
    Action(
        "train.batch",
        "Train one batch",
        ("Ctrl+B",),
        "Train",
        "One training step.",
        word="+1 batch",
        icon="▷",
        separator=True,
    ),
    Action(
        "train.epoch",
        "Train one epoch",
        ("Ctrl+Shift+B",),
        "Train",
        "Once through the data.",
        word="+1 epoch",
        icon="▷▷",
    ),
    Action(
        "train.rate",
        "Learning rate…",
        ("Ctrl+Shift+R",),
        "Train",
        "See the learning rate, and go on with another one.",
        separator=True,
    ),
    Action(
        "train.fresh",
        "Fresh weights…",
        (),
        "Train",
        "Start again from random weights of the same architecture.",
    ),
    Action("input.random", "Random picture", ("Ctrl+R",), "Tools", "A random picture of the set."),
    Action("input.next", "Next picture", ("Ctrl+Right",), "Tools", "The next picture of the set."),
    Action("input.previous", "Previous picture", ("Ctrl+Left",), "Tools", "The previous one."),
    Action(
        "input.mistake",
        "Next mistake",
        ("Ctrl+M",),
        "Tools",
        "The next picture that the net gets wrong.",
    ),
    Action("input.clear", "Clear drawing", (), "Tools", "Wipe the canvas.", separator=True),
    Action(
        "help.shortcuts",
        "Keyboard shortcuts",
        ("Ctrl+/", "Ctrl+?"),
        "Help",
        "Every command with its keys.",
    ),
    Action("help.system", "Copy system information", (), "Help", "For a report of a fault."),
    Action("help.about", "About Convscope", (), "Help", "Version and licence."),
    Action("canvas.play", "Play or pause", ("Space",), "", "Play or pause.", "canvas"),
    Action("canvas.over", "Step over", ("Right",), "", "Step over.", "canvas"),
    Action("canvas.back", "Step back", ("Left",), "", "Step back.", "canvas"),
    Action("canvas.out", "Step out", ("Up",), "", "Step out.", "canvas"),
    Action("canvas.into", "Step into", ("Down",), "", "Step into.", "canvas"),
    Action("canvas.layer_up", "Layer before", ("PgUp",), "", "Show the layer before.", "canvas"),
    Action("canvas.layer_down", "Layer after", ("PgDown",), "", "Show the layer after.", "canvas"),
    Action("canvas.pick_up", "Pick up", ("Alt+Up",), "", "Move the picked element.", "canvas"),
    Action(
        "canvas.pick_down", "Pick down", ("Alt+Down",), "", "Move the picked element.", "canvas"
    ),
    Action(
        "canvas.pick_left", "Pick left", ("Alt+Left",), "", "Move the picked element.", "canvas"
    ),
    Action("canvas.pick_right", "Pick right", ("Alt+Right",), "", "Move the picked one.", "canvas"),
)

MENUS: tuple[str, ...] = ("File", "Edit", "View", "Run", "Train", "Tools", "Window", "Help")
DEBUG_BAR: tuple[str, ...] = (
    "debug.reverse_resume",
    "debug.back",
    "debug.over",
    "debug.into",
    "debug.out",
    "debug.resume",
    "debug.pause",
    "debug.stop",
    "debug.next_nan",
    "debug.play",
)
TRAIN_BAR: tuple[str, ...] = (
    "train.start",
    "train.pause",
    "train.stop",
    "train.batch",
    "train.epoch",
)


def by_id(action_id: str) -> Action:
    """Return the entry of that name.

    Raises
    ------
    KeyError
        If there is none.
    """
    for action in ACTIONS:
        if action.id == action_id:
            return action
    raise KeyError(action_id)
