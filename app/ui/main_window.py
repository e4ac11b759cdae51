"""The main window: lays the parts out and wires them; what they do is in their own modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QDockWidget,
    QGridLayout,
    QLineEdit,
    QMainWindow,
    QMenu,
    QSlider,
    QWidget,
)

from app.document.atoms import Layer
from app.document.geometry import Rect
from app.document.locality import changed_outside_paint
from app.io.pictures.photo import PHOTO_SUFFIXES
from app.io.project import SUFFIX as PROJECT_SUFFIX
from app.io.settings import SettingsStore
from app.studio.session import Session
from app.worker.engine_thread import EngineThread
from app.worker.jobs import Engine, EngineInfo
from app.worker.tasks import TaskThread

from .canvas.canvas import Canvas
from .canvas.place_keys import PlaceKeys
from .canvas.snapping import Snapping
from .control.actions import Actions, Command, OptionsBar
from .control.files import FileController, sample_photo
from .control.generation import GenerationController
from .control.project_files import ProjectController
from .dialogs.first_run import FirstRun
from .dialogs.help import Help, Parts
from .gallery.gallery import Gallery
from .panels.generate_panel import GeneratePanel
from .panels.label_palette import LabelPalette
from .panels.legend import Legend
from .panels.message_bar import Kind, MessageBar
from .panels.reference import ReferenceController
from .panels.status_bar import StatusBar

_BOTH = ("canvas", "gallery")
_NEED_A_PHOTO = "save save-as export clear-paint surroundings suggest-labels uniform-labels load-labels save-labels"


class MainWindow(QMainWindow):
    """The editor. open_engine is called in the engine thread; open_on_cpu too, when the GPU's memory is too small.
    home: where recent files and safety copies are kept; None: nowhere. store: the user's settings; None: the usual
    ones, kept nowhere."""

    def __init__(
        self,
        open_engine: Callable[[], Engine],
        home: Path | None = None,
        store: SettingsStore | None = None,
        open_on_cpu: Callable[[], Engine] | None = None,
    ) -> None:
        super().__init__()
        self.setWindowTitle("Scenebrush")
        self.setAcceptDrops(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)  # a stray right click must not hide the tools
        self.session = Session(self)
        self.engine = EngineThread(open_engine, self, open_on_cpu)
        self.tasks = TaskThread("tasks", self)
        self.canvas = Canvas(self.session)
        self.palette_panel = LabelPalette(self.session)
        self.panel = GeneratePanel()
        self.gallery = Gallery()
        self.messages = MessageBar()
        self.status = StatusBar(self.session)
        self.files = FileController(self.session, self.engine, self.tasks, self)
        self.generation = GenerationController(
            self.session, self.canvas, self.panel, self.gallery, self.engine, self.tasks, self
        )
        self.references = ReferenceController(self.panel, self.files, self.engine, self.tasks, self)
        self.projects = ProjectController(self.session, self.generation, self.files, self.tasks, self, home)
        self.actions_table = Actions(self, self.session)
        self.options = OptionsBar(self.session, self)
        self.snapping = Snapping(self.session, self.tasks, self)
        self.store = SettingsStore() if store is None else store
        self.first_run = FirstRun(self.session)
        parts = Parts(
            self.actions_table, self.options, self.panel, self.gallery, self.palette_panel, self.first_run,
            self.generation, self.files, self.projects, self.engine,
        )  # fmt: skip
        self.help = Help(self, parts, self.store, home)
        self.legend = Legend(self.session)
        self._closing = False
        self._hidden_paint, self._hidden_labels = self.options.paint_opacity.value(), 55  # percent, to come back to
        self.files.previewing = lambda: self.canvas.previewing
        self._lay_out()
        self._add_actions()
        self._connect()
        self.engine.start()
        self.tasks.start()

    # layout -------------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        middle = QWidget()
        layers = QGridLayout(middle)  # the message lies over the canvas, so that the picture does not jump
        layers.setContentsMargins(0, 0, 0, 0)
        layers.addWidget(self.canvas, 0, 0)
        layers.addWidget(self.messages, 0, 0, Qt.AlignmentFlag.AlignTop)
        layers.addWidget(self.first_run, 0, 0, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom)
        self.first_run.hide()
        layers.addWidget(self.legend, 0, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        self.setCentralWidget(middle)
        self.setStatusBar(self.status)
        self.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        right, bottom = Qt.DockWidgetArea.RightDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea
        labels = self._dock("Labels", self.palette_panel, right)
        generate = self._dock("Generate", self.panel, right)
        results = self._dock("Results", self.gallery, bottom)
        results.setTitleBarWidget(QWidget())  # the gallery has its own header
        self.resizeDocks([labels, generate], [312, 312], Qt.Orientation.Horizontal)
        self.resizeDocks([results], [226], Qt.Orientation.Vertical)
        self.resizeDocks([labels, generate], [600, 1], Qt.Orientation.Vertical)

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(title.lower())
        dock.setWidget(widget)
        movable = QDockWidget.DockWidgetFeature.DockWidgetMovable
        dock.setFeatures(movable if area == Qt.DockWidgetArea.RightDockWidgetArea else QDockWidget.DockWidgetFeature(0))
        self.addDockWidget(area, dock)
        return dock

    # actions ------------------------------------------------------------------------------------------------------

    def _add_actions(self) -> None:
        add, files, canvas, session = self.actions_table, self.files, self.canvas, self.session
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, self.options)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, add.tool_strip())
        projects = self.projects
        menu = add.menu("&File", [
            Command("open", "&Open…", files.open_dialog, ("Ctrl+O",), "open", "Open a photo or a project"),
            Command("open-sample", "Open the sa&mple photo", files.open_sample),
            None,
            Command("save", "&Save the project", projects.save, ("Ctrl+S",)),
            Command("save-as", "Save the project &as…", projects.save_as, ("Ctrl+Shift+S",)),
            None,
            Command("export", "&Export the picture…", files.export_dialog, ("Ctrl+Shift+E",), "export"),
            None,
            Command("quit", "&Quit", self.close, ("Ctrl+Q",)),
        ])  # fmt: skip
        recent = QMenu("Open &recent", self)
        recent.setToolTipsVisible(True)
        recent.aboutToShow.connect(lambda: projects.fill_recent(recent))
        menu.insertMenu(add["open-sample"], recent)
        add.menu("&Edit", [
            Command("undo", "&Undo", session.undo, ("Ctrl+Z",), "undo"),
            Command("redo", "&Redo", session.redo, ("Ctrl+Shift+Z", "Ctrl+Y"), "redo"),
            None,
            Command("clear-paint", "&Clear the paint", session.clear_paint, ("Ctrl+Backspace",)),
            Command("surroundings", "&Remove what is painted", session.paint_surroundings, ("Shift+Backspace",)),
            Command("swap-labels", "S&wap the last two labels", session.swap_labels, ("X",)),
            None,
            Command("snap", "Snap the brush to &edges", lambda: session.set_snap(not session.snap), ("S",),
                    on=lambda: session.snap),
            Command("brush-smaller", "Brush &smaller", lambda: session.step_brush_size(-1), ("[",)),
            Command("brush-larger", "Brush &larger", lambda: session.step_brush_size(1), ("]",)),
            None,
            Command("preferences", "&Preferences…", self.help.show_preferences, ("Ctrl+,",)),
        ])  # fmt: skip
        add.menu("&View", [
            Command("zoom-in", "Zoom &in", lambda: canvas.zoom_by(1), ("Ctrl++", "Ctrl+=", "+")),
            Command("zoom-out", "Zoom &out", lambda: canvas.zoom_by(-1), ("Ctrl+-", "-")),
            Command("fit", "&Fit in the window", canvas.fit, ("Ctrl+0",), "fit"),
            Command("actual-size", "&100 %", lambda: canvas.zoom_to(1.0), ("Ctrl+1",)),
            None,
            Command("compare", "Co&mpare with the original", canvas.toggle_compare, ("M",),
                    on=lambda: canvas.compare.shown),
            Command("toggle-paint", "Show the &paint", self._toggle_paint, ("Ctrl+H",),
                    on=lambda: canvas.overlay.paint_opacity > 0),
            Command("toggle-labels", "Show the &label map", self._toggle_labels, ("Ctrl+L",),
                    on=lambda: canvas.overlay.labels_opacity > 0),
            Command("patterns", "P&atterns on the labels", self._toggle_patterns, ("P",),
                    on=lambda: canvas.overlay.patterns),
            Command("legend", "Le&gend", self.legend.toggle, ("Shift+L",), on=self.legend.isVisible),
        ])  # fmt: skip
        add.menu("&Labels", [
            Command("suggest-labels", "&Suggest from the photo", files.suggest_again),
            Command("uniform-labels", "Start from the &current label everywhere", files.start_uniform),
            None,
            Command("load-labels", "&Load a label map…", files.load_labels_dialog),
            Command("save-labels", "S&ave the label map…", files.save_labels_dialog),
        ])  # fmt: skip
        runs = self.generation
        add.menu("&Generate", [
            Command("generate", "&Generate", runs.generate, ("Ctrl+Return", "Ctrl+Enter")),
            Command("drafts", "Quick &drafts", runs.generate_drafts, ("Shift+Return", "Shift+Enter")),
            None,
            Command("cancel", "&Cancel the run", runs.cancel, ("Shift+X",)),
            Command("cancel-all", "Cancel &all runs", runs.cancel_all, ("Ctrl+Shift+X",)),
            None,
            Command(
                "apply", "&Apply the chosen version", self.gallery.apply_chosen, ("Enter", "Return"), places=_BOTH
            ),
            Command("star", "&Star the chosen version", self.gallery.star_chosen, (".",)),
            Command("reroll", "&Re-roll the least likely 20 %", lambda: self.gallery.reroll_chosen(0.2), ("R",)),
            Command("reroll-patch", "Re-roll a &patch…", self.gallery.patch_chosen, ("Shift+R",)),
            Command("uncertainty", "Show the &uncertainty", self.gallery.heat.toggle, ("U",),
                    on=self.gallery.heat.isChecked),
            Command("swap-texture", "As drawn, or &textured", runs.swap_texture, ("T",)),
            Command("attention", "Show where the model &looked", runs.attention.toggle, ("Shift+U",),
                    on=lambda: canvas.attention_shown),
            Command(
                "discard", "D&iscard the chosen version", self.gallery.discard_chosen, ("Del",), places=("gallery",)
            ),
            Command("bring-back", "&Bring back the discarded version", runs.bring_back, ("Shift+Del",)),
            None,
            Command("find", "Search the resul&ts", self.gallery.search.setFocus, ("Ctrl+F",)),
        ])  # fmt: skip
        add.menu("&Help", [
            Command("shortcuts", "&Keyboard and mouse", self.help.show_shortcuts, ("?", "F1")),
            Command("first-run", "&First steps", self.first_run.begin),
            None,
            Command("open-log", "Open the &log folder", self.help.open_log_folder),
            Command("diagnostics", "Copy &diagnostics", self.help.copy_diagnostics, tip="For whoever helps you"),
            None,
            Command("about", "&About Scenebrush", self.help.show_about),
        ])  # fmt: skip
        self._add_place_commands()
        add.label_keys(self.palette_panel.label_in_slot)
        self.options.fill(add)
        self.options.compare.pressed.connect(lambda: canvas.hold_original(True))
        self.options.compare.released.connect(lambda: canvas.hold_original(False))

    def _add_place_commands(self) -> None:
        canvas, gallery, here = self.canvas, self.gallery, ("gallery",)
        self.actions_table.add_group("Canvas and gallery", [
            Command("hold-original", "Show the original while held", _nothing, ("Tab",), places=_BOTH,
                    hold=canvas.hold_original),
            Command("hold-hand", "Move the picture while held", _nothing, ("Space",), places=("canvas",),
                    hold=canvas.hold_hand),
            Command("version-before", "Version before", lambda: gallery.step(-1), ("Left",), places=here),
            Command("version-after", "Next version", lambda: gallery.step(1), ("Right",), places=here),
            Command("run-before", "Earlier run", lambda: gallery.step_run(-1), ("Up",), places=here),
            Command("run-after", "Later run", lambda: gallery.step_run(1), ("Down",), places=here),
            Command("tick", "Tick the draft, star the version", gallery.star_chosen, ("Space",), places=here),
        ])  # fmt: skip
        canvas.keys = PlaceKeys(self.actions_table, "canvas")
        gallery.view.keys = PlaceKeys(self.actions_table, "gallery")

    def _toggle_paint(self) -> None:
        self._hidden_paint = _toggled(self.options.paint_opacity, self._hidden_paint)

    def _toggle_labels(self) -> None:
        self._hidden_labels = _toggled(self.options.labels_opacity, self._hidden_labels)

    def _toggle_patterns(self) -> None:
        self.canvas.overlay.patterns = not self.canvas.overlay.patterns
        self.canvas.overlay_changed()

    # wiring -------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        session = self.session
        self.canvas.hovered.connect(self.status.show_point)
        self.canvas.view_changed.connect(lambda: self.status.show_view(self.canvas.view))
        self.options.paint_opacity.valueChanged.connect(self._on_opacity)
        self.options.labels_opacity.valueChanged.connect(self._on_opacity)
        for number in (*self.options.findChildren(QAbstractSpinBox), *self.panel.findChildren(QAbstractSpinBox)):
            for line in number.findChildren(QLineEdit):
                line.returnPressed.connect(self.canvas.setFocus)  # the keys are the canvas's again
        self.files.message.connect(self.say)
        self.projects.message.connect(self.say)
        self.snapping.message.connect(self.say)
        self.references.message.connect(self.say)
        self.projects.changed.connect(self._show_title)
        self.files.busy.connect(self._on_busy)
        self.files.exported.connect(lambda _: self._show_title())
        self.generation.message.connect(self.say)
        self.generation.trouble.connect(self.messages.say)
        self.engine.opened.connect(self._on_engine)
        self.engine.open_failed.connect(self._on_engine_failed)
        session.document_replaced.connect(self._on_document)
        session.settled.connect(self._update_actions)
        session.pixels_changed.connect(self._on_pixels)
        self.generation.submitted.connect(self.first_run.generated)
        self.help.message.connect(self.say)
        self.help.apply()
        self._on_document()

    def say(self, kind: Kind, text: str) -> None:
        self.messages.say(kind, text)

    def _on_busy(self, text: str) -> None:
        if text:
            self.messages.say(Kind.INFO, text, sticky=True)
        elif self.messages.kind is Kind.INFO:
            self.messages.clear()

    def _on_engine(self, info: EngineInfo) -> None:
        self.status.show_device(info.device_line)

    def _on_engine_failed(self, text: str) -> None:
        self.status.show_device("no model")
        self.palette_panel.say_unavailable("No model is open.")
        self.say(Kind.ERROR, f"{text.rstrip('.')}. Photos can be opened and viewed, but not edited.")

    def _on_document(self) -> None:
        if self.messages.offers:
            self.messages.clear()  # what it offers is about the photo before
        self.status.show_view(self.canvas.view)
        self.status.show_point(None)
        self._count_changed()
        self._update_actions()

    def _on_pixels(self, rect: Rect, layers: frozenset[Layer]) -> None:
        if Layer.PICTURE in layers:
            self._count_changed()

    def _on_opacity(self) -> None:
        self.canvas.overlay.paint_opacity = self.options.paint_opacity.value() / 100
        self.canvas.overlay.labels_opacity = self.options.labels_opacity.value() / 100
        self.canvas.overlay_changed()

    def _count_changed(self) -> None:
        document = self.session.document
        self.status.show_locality(None if document is None else changed_outside_paint(document))

    def _update_actions(self) -> None:
        document, stack, actions = self.session.document, self.session.undo_stack, self.actions_table
        for name in _NEED_A_PHOTO.split():
            actions[name].setEnabled(document is not None)
        actions["open-sample"].setEnabled(sample_photo() is not None)
        actions["undo"].setEnabled(stack.canUndo())
        actions["redo"].setEnabled(stack.canRedo())
        actions["undo"].setText(f"&Undo {stack.undoText()}".rstrip())
        actions["redo"].setText(f"&Redo {stack.redoText()}".rstrip())
        self._show_title()

    def _show_title(self) -> None:
        document = self.session.document
        path = None if document is None else self.projects.path or document.photo.path
        self.setWindowTitle(f"{'' if path is None else path.name}[*] — Scenebrush" if document else "Scenebrush[*]")
        self.setWindowModified(self.projects.dirty)

    # dropping and closing -------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = _dropped(event)
        if path is not None:
            event.acceptProposedAction()
            self.files.open_path(path)

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._closing:
            event.ignore()
            self.projects.ask_first(self._close_now)
        if self._closing:
            event.accept()

    def _close_now(self) -> None:
        self._closing = True
        self.help.remember_window()
        if self.isVisible():
            self.close()

    def shut_down(self) -> bool:
        """End the threads; False when one has not ended within two seconds (a model that is loading cannot stop)."""
        self.messages.clear()
        stopped = [self.engine.stop(2.0), self.tasks.stop(1.0), self.projects.shut_down()]
        return all(stopped)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.ActivationChange and not self.isActiveWindow():
            self.canvas.hold_original(False)
        super().changeEvent(event)


def _nothing() -> None:
    """What a command does whose key is held: its `hold` does it."""


def _dropped(event: QDropEvent) -> Path | None:
    """The first photo or project among dropped files."""
    urls = [url for url in event.mimeData().urls() if url.isLocalFile()]
    paths = [Path(url.toLocalFile()) for url in urls]
    return next((path for path in paths if path.suffix.lower() in (*PHOTO_SUFFIXES, PROJECT_SUFFIX)), None)


def _toggled(slider: QSlider, before: int) -> int:
    """Switch between nothing and the value from before; returns the value to come back to."""
    value = slider.value()
    slider.setValue(0 if value else before)
    return value or before
