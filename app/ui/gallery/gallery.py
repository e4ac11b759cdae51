"""The gallery: the candidates of a run, most likely first, filling while they finish; or those that a search found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.studio.arrange import Order
from app.studio.runs import Entry, Run, RunKind
from models.candidate import Candidate

from ..look.icons import icon
from .gallery_items import ENTRY_ROLE, CandidateDelegate, CandidateModel
from .gallery_view import GalleryView
from .search import Match, SearchField

_Index = QModelIndex | QPersistentModelIndex


_APPLY = "Put this version into the picture; or double-click it"
_NO_RUN = "Paint what should be there, then press Generate. Versions appear here, most likely first."
_NO_MATCH = "No version matches. Esc brings all of them back."
_NO_VERSION = "This run has no versions: it was stopped before the first one, or all were discarded."
_ORDERS = {Order.LIKELY: "Most likely", Order.VARIED: "Varied", Order.NEWEST: "Newest"}
REROLL_PERCENT = (10, 20, 40)


def can_reroll(entry: Entry) -> bool:
    """Whether a version knows which of its tokens were unlikely (drafts are drawn in full first)."""
    return bool(entry.candidate.windows) and not entry.candidate.draft


class Gallery(QWidget):
    """Shows one run at a time, with arrows to the earlier ones, or what a search found in all of them."""

    previewed = Signal(object)  # Entry to show on the canvas, None for none
    apply_asked = Signal(object)  # Entry
    discard_asked = Signal(object)  # Entry
    run_step_asked = Signal(int)  # -1 older, +1 newer
    full_asked = Signal(object)  # list[Entry]: drafts to draw in full
    reroll_asked = Signal(object, float)  # Entry, share of its tokens (0–1)
    patch_asked = Signal(object)  # Entry: a patch of it will be drawn again
    recall_asked = Signal(object)  # Entry or None: settings (and seed) of the run shown
    heat_toggled = Signal(bool)
    starred = Signal()
    search_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._run: Run | None = None
        self._chosen: Entry | None = None
        self._hovered: Entry | None = None
        self._with_key: Callable[[str, str], str] = lambda tip, _: tip
        self._found: Sequence[Match] | None = None  # None: the run is shown
        self.model = CandidateModel(self)
        self.view = GalleryView()
        self.view.setModel(self.model)
        self.view.setItemDelegate(CandidateDelegate(self))
        self.view.clicked.connect(self._choose)
        self.view.doubleClicked.connect(self._on_double_click)
        self.view.entered.connect(self._on_entered)
        self.view.mouse_left.connect(lambda: self._hover(None))
        self.view.left.connect(self._on_escape)
        self.view.marked.connect(self._mark)
        self.view.stack_clicked.connect(self._open_stack)
        self.view.selectionModel().currentChanged.connect(lambda index, _: self._choose(index))
        self._title = QLabel("Results")
        self._title.setStyleSheet("font-weight: 600;")
        self._facts = QLabel()
        self._facts.setProperty("quiet", True)
        self._facts.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # a long one is cut
        self.older = self._arrow("chevron-left", "Earlier run", -1)
        self.newer = self._arrow("chevron-right", "Later run", +1)
        self._place = QLabel()
        self._place.setProperty("quiet", True)
        self.search = SearchField()
        self.search.textChanged.connect(lambda _: self.search_changed.emit())
        self.search.left.connect(self.view.setFocus)
        self.sort = QComboBox()
        for order, text in _ORDERS.items():
            self.sort.addItem(text, order)
        self.sort.setToolTip("The most likely version is often the plainest: look at varied ones too")
        self.sort.setAccessibleName("Sort versions")
        self.sort.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.sort.currentIndexChanged.connect(self._on_sort)
        self.heat = self._tool("heat", "Show where the model was unsure")
        self.heat.setCheckable(True)
        self.heat.toggled.connect(self.heat_toggled)
        self.reroll = self._tool("reroll", "Draw the unlikely part of this version again")
        self.reroll.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.reroll.setMenu(self._reroll_menu())
        self.recall = self._tool("history", "Use the settings and the seed of this version again")
        self.recall.clicked.connect(lambda: self.recall_asked.emit(self._chosen))
        self.discard_button = self._tool("close", "Take this version out of the gallery")
        self.discard_button.clicked.connect(self.discard_chosen)
        self.apply_button = QPushButton("Apply")
        self.apply_button.setProperty("primary", True)
        self.apply_button.clicked.connect(self.apply_chosen)
        self._empty = QLabel(_NO_RUN)
        self._empty.setProperty("quiet", True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._lay_out()
        self.set_run(None, 0, 0)

    def _lay_out(self) -> None:
        header = QHBoxLayout()
        header.setContentsMargins(14, 6, 14, 2)
        header.setSpacing(8)
        header.addWidget(self._title)
        header.addWidget(self._facts, 1)
        for widget in (self.older, self._place, self.newer):
            header.addWidget(widget)
        header.addWidget(self.search)
        header.addWidget(self.sort)
        header.setSpacing(4)
        for widget in (self.heat, self.reroll, self.recall, self.discard_button):
            header.addWidget(widget)
        header.addSpacing(4)
        header.addWidget(self.apply_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(header)
        layout.addWidget(self._empty, 1)
        layout.addWidget(self.view, 1)

    def _reroll_menu(self) -> QMenu:
        menu = QMenu(self)
        for percent in REROLL_PERCENT:
            action = menu.addAction(f"The least likely {percent} %")
            action.triggered.connect(lambda _=False, share=percent / 100: self.reroll_chosen(share))
        menu.addSeparator()
        menu.addAction("A patch that I outline…").triggered.connect(lambda _=False: self.patch_chosen())
        return menu

    def _tool(self, name: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(name))
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        return button

    def _arrow(self, name: str, tip: str, step: int) -> QToolButton:
        button = self._tool(name, tip)
        button.clicked.connect(lambda: self.run_step_asked.emit(step))
        return button

    def sizeHint(self) -> QSize:
        return QSize(600, 226)

    def show_keys(self, with_key: Callable[[str, str], str]) -> None:
        """Tool tips that name the keys; with_key: adds the key of a command to a tip."""
        self._with_key = with_key
        self.heat.setToolTip(with_key("Show where the model was unsure", "uncertainty"))
        self.discard_button.setToolTip(with_key("Take this version out of the gallery", "discard"))
        self.search.setToolTip(with_key("Versions of all runs by label, seed, starred, applied or drafts", "find"))
        self._update_buttons()

    # contents -----------------------------------------------------------------------------------------------------

    @property
    def run(self) -> Run | None:
        return self._run

    @property
    def chosen(self) -> Entry | None:
        """The candidate that stays on the canvas when the mouse leaves."""
        return self._chosen

    @property
    def query(self) -> str:
        """What is searched for, "" for nothing."""
        return self.search.text().strip()

    def set_run(self, run: Run | None, place: int, total: int) -> None:
        """Show a run, and end a search; place: 1 for the oldest of `total` runs kept."""
        if run is not self._run:
            self._chosen = self._hovered = None
            self._run = run
        self._found = None
        self.search.blockSignals(True)
        self.search.clear()
        self.search.blockSignals(False)
        self._show_parts(several=total > 1)
        self._place.setText(f"Run {place} of {total}")
        self.older.setEnabled(place > 1)
        self.newer.setEnabled(place < total)
        self.refresh(())

    def _show_parts(self, several: bool) -> None:
        """Show what there is use for; several: there are other runs to step to."""
        self._show_empty()
        for widget in (self.older, self.newer, self._place):
            widget.setVisible(several)
        tools = (self.search, self.sort, self.heat, self.reroll, self.recall, self.discard_button, self.apply_button)
        for tool in tools:
            tool.setVisible(self._run is not None)

    def _show_empty(self) -> None:
        """Say why there is nothing to see, where that is so."""
        reason = ""
        if self._run is None:
            reason = _NO_RUN
        elif self._found is not None:
            reason = "" if self._found else _NO_MATCH
        elif self._run.state.terminal and not self._run.entries:
            reason = _NO_VERSION
        self._empty.setText(reason)
        self._empty.setVisible(bool(reason))
        self.view.setVisible(not reason)

    def refresh(self, picture_state: tuple[int, ...]) -> None:
        """The run has changed: new candidates, progress, end, applied or undone."""
        matches = [] if self._run is None else [Match(self._run, entry) for entry in self._run.entries]
        self.model.show(matches, self._run, picture_state)
        self._facts.setText("" if self._run is None else self._run.facts)
        self._show_empty()
        self._select_chosen()
        self._update_buttons()

    def show_found(self, matches: Sequence[Match], total: int, picture_state: tuple[int, ...]) -> None:
        """Show what a search found, runs newest first, instead of the run; total: versions there are."""
        self._found = matches
        self._show_parts(several=False)
        self.model.show(matches, None, picture_state)
        runs = len({id(match.run) for match in matches})
        self._facts.setText(f"{len(matches)} of {total} versions" + (f"  ·  from {runs} runs" if runs > 1 else ""))
        if self._chosen is not None and self._chosen not in self._entries:
            self.leave_preview()
        self._select_chosen()
        self._update_buttons()

    @property
    def _entries(self) -> list[Entry]:
        """The versions of the run, or found, best first; also those that stand in a stack."""
        if self._found is not None:
            return [match.entry for match in self._found]
        return [] if self._run is None else self._run.entries

    def choose(self, candidate: Candidate | None) -> None:
        """Select a candidate and preview it; None to deselect."""
        self._chosen = next((e for e in self._entries if e.candidate is candidate), None)
        self._select_chosen()
        self._update_buttons()
        self.previewed.emit(self._hovered or self._chosen)

    def leave_preview(self) -> None:
        self._hovered = None
        self.choose(None)

    @property
    def ticked(self) -> list[Entry]:
        """The drafts shown that are to be drawn in full."""
        return [entry for entry in self._entries if entry.ticked]

    @property
    def _drafts(self) -> bool:
        """Whether drafts are what the buttons are about."""
        if self._found is not None:
            return self._chosen is not None and self._chosen.candidate.draft
        return self._run is not None and self._run.kind is RunKind.DRAFT

    def apply_chosen(self) -> None:
        """Apply the chosen version; of drafts: draw the ticked ones, or the chosen one, in full."""
        if self._drafts:
            entries = self.ticked or [entry for entry in (self._chosen,) if entry is not None]
            if entries:
                self.full_asked.emit(entries)
        elif self._chosen is not None:
            self.apply_asked.emit(self._chosen)

    def reroll_chosen(self, share: float) -> None:
        """Draw the least likely share (0–1) of the chosen version again."""
        if self._chosen is not None and can_reroll(self._chosen):
            self.reroll_asked.emit(self._chosen, share)

    def patch_chosen(self) -> None:
        if self._chosen is not None and can_reroll(self._chosen):
            self.patch_asked.emit(self._chosen)

    def star_chosen(self) -> None:
        """Toggle the star of the chosen version, or the tick of a draft."""
        if self._chosen is not None:
            row = self.model.row(self._chosen)
            if row is not None:
                self._mark(self.model.index(row))

    def step(self, by: int) -> None:
        """Choose the next version (by: +1) or the one before (-1); with none chosen the first one."""
        row = self.model.row(self._chosen) if self._chosen is not None else None
        place = 0 if row is None else row + by
        if 0 <= place < len(self.model.shown):
            self.choose(self.model.shown[place].candidate)

    def step_run(self, by: int) -> None:
        """Ask for an earlier (-1) or later (+1) run; while a search shows versions of several there is none."""
        if self._found is None:
            self.run_step_asked.emit(by)

    def discard_chosen(self) -> None:
        if self._chosen is not None:
            self.discard_asked.emit(self._chosen)

    # events -------------------------------------------------------------------------------------------------------

    def _select_chosen(self) -> None:
        entries = self._entries
        selection = self.view.selectionModel()
        selection.blockSignals(True)
        row = self.model.row(self._chosen) if self._chosen in entries else None
        if row is not None:
            index = self.model.index(row)
            if self.view.currentIndex() != index or not selection.isSelected(index):
                self.view.setCurrentIndex(index)  # also scrolls there: not at every report of progress
        else:
            if self._chosen not in entries:
                self._chosen = None
            selection.clear()
        selection.blockSignals(False)
        self.view.viewport().update()

    def _update_buttons(self) -> None:
        entry, drafts = self._chosen, self._drafts
        ticked = len(self.ticked)
        self.apply_button.setText("Apply" if not drafts else f"Draw {ticked or 'this'} in full")
        tip = "Draw the ticked drafts, or the chosen one, at full resolution" if drafts else _APPLY
        self.apply_button.setToolTip(self._with_key(tip, "apply"))
        self.apply_button.setEnabled(entry is not None or (drafts and ticked > 0))
        for button in (self.discard_button, self.recall):
            button.setEnabled(entry is not None)
        self.reroll.setEnabled(entry is not None and can_reroll(entry))

    def _on_sort(self) -> None:
        self.model.order = Order(self.sort.currentData())  # Qt keeps the text only
        self.model.opened.clear()
        self._reshow()

    def _reshow(self) -> None:
        """Order, stars or ticks have changed."""
        self.model.arrange_again()
        self._select_chosen()
        self._update_buttons()

    def _mark(self, index: _Index) -> None:
        """Star a version, tick a draft."""
        entry = index.data(ENTRY_ROLE) if index.isValid() else None
        if entry is None:
            return
        if entry.candidate.draft:
            entry.ticked = not entry.ticked
        else:
            entry.starred = not entry.starred
            self.starred.emit()
        self._reshow()

    def _open_stack(self, index: _Index) -> None:
        self.model.opened.add(id(index.data(ENTRY_ROLE)))
        self._reshow()

    def _choose(self, index: _Index) -> None:
        entry = index.data(ENTRY_ROLE) if index.isValid() else None
        if entry is not None:
            self.choose(entry.candidate)

    def _on_double_click(self, index: _Index) -> None:
        self._choose(index)
        if self._drafts and self._chosen is not None:
            self.full_asked.emit([self._chosen])
        else:
            self.apply_chosen()

    def _on_escape(self) -> None:
        """Leave the preview first, then the search."""
        if self._chosen is None:
            self.search.clear()
        else:
            self.leave_preview()

    def _on_entered(self, index: _Index) -> None:
        self._hover(index.data(ENTRY_ROLE))

    def _hover(self, entry: Entry | None) -> None:
        if entry is not self._hovered:
            self._hovered = entry
            self.previewed.emit(entry or self._chosen)
