"""Menus, tool bars and keys: what can be done, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QToolBar,
    QToolButton,
    QWidget,
)

from app.document.brush import MAX_BRUSH
from app.studio.session import Session, Tool

from ..dialogs.keys import effective, shown
from ..look.icons import icon
from ..panels.generate_panel import FIELD_MARGINS
from ..panels.label_palette import LabelSwatch

_SNAP = "Snap to edges: the brush takes whole regions of even colour"


@dataclass(frozen=True)
class Command:
    """One thing the user can do. name: stable, for settings and tests. keys: the first is shown in the menu.

    places: where its keys count ("canvas", "gallery"); (): everywhere. hold: called with True when its key goes down
    and with False when it comes up, instead of `run`. on: whether what it turns on and off is on, for the menu's check
    mark.
    """

    name: str
    text: str
    run: Callable[[], object]
    keys: tuple[str, ...] = ()
    icon: str = ""
    tip: str = ""
    places: tuple[str, ...] = ()
    hold: Callable[[bool], object] | None = None
    on: Callable[[], bool] | None = None


TOOLS = (
    (Tool.BRUSH, "Brush", "B", "brush", "Paint the current label"),
    (Tool.ERASER, "Eraser", "E", "eraser", "Take paint away: the original label is back"),
    (Tool.FILL, "Fill", "G", "fill", "Paint a whole region of one label"),
    (Tool.LASSO, "Lasso", "L", "lasso", "Drag round a shape, or click its corners (Enter closes, Ctrl erases)"),
    (Tool.PICKER, "Pick label", "I", "picker", "Take the label under the mouse (also Alt-click)"),
    (Tool.HAND, "Hand", "H", "hand", "Move the picture (also Space or middle button)"),
)


class Actions:
    """All actions of a window by name."""

    def __init__(self, window: QMainWindow, session: Session) -> None:
        self._window = window
        self._session = session
        self.by_name: dict[str, QAction] = {}
        self.titles: dict[str, str] = {}  # what each command is called; an action's own text may say more
        self.usual: dict[str, tuple[str, ...]] = {}  # the keys of each command unless the user changes them
        self.groups: dict[str, list[str]] = {}  # names of the commands by menu
        self.places: dict[str, tuple[str, ...]] = {}  # of those commands whose keys do not count everywhere
        self.holds: dict[str, Callable[[bool], object]] = {}  # of those commands whose keys are held

    def __getitem__(self, name: str) -> QAction:
        return self.by_name[name]

    def add(self, command: Command) -> QAction:
        """Make an action that works in the whole window, or by `PlaceKeys` in its places."""
        action = QAction(command.text, self._window)
        action.setObjectName(command.name)
        self.titles[command.name] = command.text.replace("&", "").rstrip("…")
        self.usual[command.name] = command.keys
        action.setShortcuts([QKeySequence(key) for key in command.keys])
        action.setCheckable(command.on is not None)
        if command.icon:
            action.setIcon(icon(command.icon))
            action.setIconVisibleInMenu(False)
        action.setProperty("tip", command.tip or self.titles[command.name])
        _show_keys(action)
        action.triggered.connect(lambda _=False: command.run())
        if command.places:
            self.places[command.name] = command.places
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)  # of no widget: menus show the key, no more
        else:
            self._window.addAction(action)
        if command.hold is not None:
            self.holds[command.name] = command.hold
        self.by_name[command.name] = action
        return action

    def bind(self, changed: dict[str, list[str]]) -> None:
        """Give commands the keys the user has chosen, all others their usual ones."""
        for name, keys in effective(self.usual, changed, self.places).items():
            self[name].setShortcuts([QKeySequence(key) for key in keys])
            _show_keys(self[name])

    def placed(self, place: str) -> list[str]:
        """Names of the commands whose keys count in a place and not everywhere."""
        return [name for name, places in self.places.items() if place in places]

    def add_group(self, title: str, commands: list[Command]) -> None:
        """Commands that have keys and stand in no menu."""
        self.groups[title] = [command.name for command in commands]
        for command in commands:
            self.add(command)

    def with_key(self, tip: str, name: str) -> str:
        """A tool tip that ends with the key of a command, when it has one."""
        key = self.first_key(name)
        return f"{tip} ({key})" if key else tip

    def first_key(self, name: str) -> str:
        """The key that menus show for a command, "" without one."""
        return shown(self[name].shortcut().toString())

    def menu(self, title: str, commands: list[Command | None]) -> QMenu:
        """A menu; None is a separator. Check marks show how things are when it opens."""
        menu = self._window.menuBar().addMenu(title)
        menu.aboutToShow.connect(lambda: self._show_marks(commands))
        menu.setObjectName(title.replace("&", "").lower())
        self.groups[title.replace("&", "")] = [command.name for command in commands if command is not None]
        for command in commands:
            if command is None:
                menu.addSeparator()
            else:
                menu.addAction(self.add(command))
        return menu

    def _show_marks(self, commands: list[Command | None]) -> None:
        for command in commands:
            if command is not None and command.on is not None:
                self[command.name].setChecked(command.on())

    def tool_strip(self) -> QToolBar:
        """The strip at the left: tools, and the current label with the one before it."""
        bar = QToolBar("Tools", self._window)
        bar.setObjectName("tools")
        bar.setMovable(False)
        bar.setOrientation(Qt.Orientation.Vertical)
        bar.setIconSize(QSize(22, 22))
        group = QActionGroup(self._window)
        for tool, text, key, name, tip in TOOLS:
            action = self.add(
                Command(
                    f"tool-{tool}",
                    text,
                    partial(self._session.set_tool, tool),
                    (key,),
                    name,
                    f"{text}: {tip[0].lower()}{tip[1:]}",
                )
            )
            action.setCheckable(True)
            action.setChecked(tool is self._session.tool)
            group.addAction(action)
            bar.addAction(action)
        self.groups["Tools"] = [f"tool-{tool}" for tool, *_ in TOOLS]
        self._session.tool_changed.connect(lambda tool: self.by_name[f"tool-{tool}"].setChecked(True))
        bar.addSeparator()
        bar.addWidget(LabelSwatch(self._session, bar))
        return bar

    def label_keys(self, label_in_slot: Callable[[int], int | None]) -> None:
        """Keys 1 to 9 take the first labels of the palette."""
        for slot in range(9):

            def take(slot: int = slot) -> None:
                label = label_in_slot(slot)
                if label is not None:
                    self._session.set_label(label)

            self.add(Command(f"label-{slot + 1}", f"Label {slot + 1} of the palette", take, (str(slot + 1),)))
        self.groups["Palette"] = [f"label-{slot + 1}" for slot in range(9)]


class OptionsBar(QToolBar):
    """Above the canvas: brush size and the opacity of paint and label map."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__("Options", parent)
        self.setObjectName("options")
        self.setMovable(False)
        self.setIconSize(QSize(20, 20))
        self._session = session
        self.size_slider = QSlider(Qt.Orientation.Horizontal)
        self.size_slider.setRange(0, 1000)
        self.size_slider.setFixedWidth(150)
        self.size_slider.setToolTip("Brush size")
        self.size_slider.setAccessibleName("Brush size")
        self.size_slider.valueChanged.connect(lambda value: session.set_brush_size(_size_of(value)))
        self.size_box = QSpinBox()
        self.size_box.lineEdit().setTextMargins(*FIELD_MARGINS)
        self.size_box.setRange(1, MAX_BRUSH)
        self.size_box.setSuffix(" px")
        self.size_box.setFixedWidth(82)
        self.size_box.setKeyboardTracking(False)
        self.size_box.setAccessibleName("Brush size in photo pixels")
        self.size_box.valueChanged.connect(session.set_brush_size)
        session.brush_size_changed.connect(self._show_size)
        self.paint_opacity = _percent(65, "How strongly the paint covers the photo")
        self.compare = QToolButton()
        self.compare.setIcon(icon("compare"))
        self.compare.setAccessibleName("Hold to see the original photo")
        self.compare.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.only_over = QComboBox()
        self.only_over.setToolTip("Let brush, fill and lasso change only this label")
        self.only_over.setAccessibleName("Paint only over")
        self.only_over.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.only_over.currentIndexChanged.connect(self._on_only_over)
        session.labels_known.connect(self._list_labels)
        self.snap = _toggle("snap", _SNAP)
        self.snap.toggled.connect(session.set_snap)
        session.snap_changed.connect(self.snap.setChecked)
        self.pressure = _toggle("pressure", "A pen's pressure changes the brush size")
        self.pressure.setChecked(session.pressure)
        self.pressure.toggled.connect(lambda on: setattr(session, "pressure", on))
        self.labels_opacity = _percent(0, "Show the label map of the whole picture")

    def show_keys(self, with_key: Callable[[str, str], str]) -> None:
        """Tool tips that name the keys; with_key: adds the key of a command to a tip."""
        self.snap.setToolTip(with_key(_SNAP, "snap"))
        self.compare.setToolTip(with_key("Hold to see the original photo", "hold-original"))

    def fill(self, actions: Actions) -> None:
        """Lay the bar out, once the actions exist."""
        for name in ("open", "undo", "redo"):
            self.addAction(actions[name])
        self.addSeparator()
        self.addWidget(_caption("Brush"))
        self.addWidget(self.size_slider)
        self.addWidget(self.size_box)
        self.addWidget(self.pressure)
        self.addWidget(self.snap)
        self.addWidget(_caption("only over"))
        self.addWidget(self.only_over)
        self.addSeparator()
        self.addWidget(_caption("Paint"))
        self.addWidget(self.paint_opacity)
        self.addWidget(_caption("Label map"))
        self.addWidget(self.labels_opacity)
        self.addSeparator()
        self.addAction(actions["fit"])
        self.addWidget(self.compare)
        gap = QWidget()
        gap.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(gap)
        self.addAction(actions["export"])
        self._show_size(self._session.brush_size)

    def _list_labels(self) -> None:
        labels = () if self._session.label_set is None else self._session.label_set.labels
        self.only_over.blockSignals(True)
        self.only_over.clear()
        self.only_over.addItem("anything", None)
        for index, label in enumerate(labels):
            self.only_over.addItem(label.name, index)
        self.only_over.blockSignals(False)
        self._on_only_over()

    def _on_only_over(self) -> None:
        self._session.set_only_over(self.only_over.currentData())

    def _show_size(self, size: int) -> None:
        for widget, value in ((self.size_slider, _slider_value(size)), (self.size_box, size)):
            widget.blockSignals(True)
            widget.setValue(value)
            widget.blockSignals(False)


def _size_of(value: int) -> int:
    """Slider 0–1000 → 1 … MAX_BRUSH pixels, evenly in ratio, so that small sizes can be hit too."""
    return round(MAX_BRUSH ** (value / 1000))


def _slider_value(size: int) -> int:
    return round(1000 * math.log(size) / math.log(MAX_BRUSH))


def _percent(value: int, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, 100)
    slider.setValue(value)
    slider.setFixedWidth(100)
    slider.setToolTip(tip)
    slider.setAccessibleName(tip)
    return slider


def _toggle(name: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setIcon(icon(name))
    button.setCheckable(True)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button


def _caption(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("quiet", True)
    label.setContentsMargins(4, 0, 2, 0)
    return label


def _show_keys(action: QAction) -> None:
    """The tool tip names the first key."""
    key = shown(action.shortcut().toString())
    action.setToolTip(action.property("tip") + (f" ({key})" if key else ""))
