"""The dark neutral look: greys without a tint, so that the photo's colours can be judged, and one accent."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from .icon_files import icon_file

CANVAS = "#1c1c1c"
WINDOW = "#2b2b2b"
PANEL = "#313131"
FIELD = "#212121"
LINE = "#1a1a1a"
EDGE = "#484848"
HOVER = "#3d3d3d"
TEXT = "#dedede"
QUIET = "#a0a0a0"
FAINT = "#6e6e6e"
ACCENT = "#4c8fd6"
ACCENT_HOVER = "#5c9de2"
GOOD = "#7fb77e"
WARNING = "#d9a441"
ERROR = "#d9695f"

_STYLE = f"""
* {{ outline: none; }}
QMainWindow, QDialog {{ background: {WINDOW}; }}
QMainWindow::separator {{ background: {LINE}; width: 3px; height: 3px; }}
QToolTip {{ background: #111; color: {TEXT}; border: 1px solid {EDGE}; padding: 4px 6px; }}
QMenuBar {{ background: {WINDOW}; padding: 2px 4px; }}
QMenuBar::item {{ padding: 4px 9px; border-radius: 3px; background: transparent; }}
QMenuBar::item:selected {{ background: {HOVER}; }}
QMenu {{ background: #282828; border: 1px solid {EDGE}; padding: 4px; }}
QMenu::item {{ padding: 5px 28px 5px 22px; border-radius: 3px; }}
QMenu::item:selected {{ background: {ACCENT}; color: white; }}
QMenu::item:disabled {{ color: {FAINT}; }}
QMenu::separator {{ height: 1px; background: {EDGE}; margin: 4px 6px; }}
QToolBar {{ background: {WINDOW}; border: none; spacing: 4px; padding: 4px; }}
QToolBar#options {{ border-bottom: 1px solid {LINE}; padding: 4px 10px; spacing: 8px; }}
QToolBar#tools {{ border-right: 1px solid {LINE}; }}
QToolBar::separator {{ background: {EDGE}; width: 1px; height: 1px; margin: 5px 4px; }}
QToolButton {{ background: transparent; border: 1px solid transparent; border-radius: 4px; padding: 4px; }}
QToolButton:hover {{ background: {HOVER}; }}
QToolButton:checked {{ background: #24415f; border-color: {ACCENT}; }}
QToolButton:focus {{ border-color: {ACCENT}; }}
QToolButton:disabled {{ color: {FAINT}; }}
QToolButton#qt_toolbar_ext_button {{ background: {QUIET}; }}
QDockWidget {{ color: {TEXT}; font-weight: 600; titlebar-close-icon: none; }}
QDockWidget::title {{ background: {WINDOW}; padding: 8px 12px 6px 12px; }}
QDockWidget > QWidget {{ background: {PANEL}; }}
QStatusBar {{ background: {WINDOW}; border-top: 1px solid {LINE}; color: {QUIET}; }}
QStatusBar::item {{ border: none; }}
QStatusBar QLabel {{ color: {QUIET}; padding: 1px 8px; }}
QLabel[quiet="true"] {{ color: {QUIET}; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox {{
    background: {FIELD}; border: 1px solid {EDGE}; border-radius: 4px; padding: 3px 8px; min-height: 20px;
    selection-background-color: {ACCENT}; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {{ border-color: {ACCENT}; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{ color: {FAINT}; }}
QAbstractSpinBox QLineEdit {{ border: none; background: transparent; padding: 0; min-height: 0; }}
QSpinBox, QDoubleSpinBox {{ padding: 3px 2px 3px 8px; }}
QSpinBox::up-button, QDoubleSpinBox::up-button {{
    subcontrol-origin: border; subcontrol-position: top right; width: 18px; border: none; }}
QSpinBox::down-button, QDoubleSpinBox::down-button {{
    subcontrol-origin: border; subcontrol-position: bottom right; width: 18px; border: none; }}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: url(ARROW_UP); width: 10px; height: 10px; }}
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{ image: url(ARROW_DOWN); width: 10px; height: 10px; }}
QComboBox::drop-down {{ border: none; width: 22px; }}
QComboBox::down-arrow {{ image: url(ARROW_DOWN); width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{ background: #282828; border: 1px solid {EDGE}; padding: 3px;
    selection-background-color: {ACCENT}; }}
QPushButton {{ background: #444444; border: 1px solid #525252; border-radius: 4px; padding: 5px 14px;
    min-height: 20px; }}
QPushButton:hover {{ background: #4e4e4e; }}
QPushButton:pressed {{ background: #3a3a3a; }}
QPushButton:focus {{ border-color: {ACCENT}; }}
QPushButton:disabled {{ background: #363636; color: {FAINT}; border-color: #3d3d3d; }}
QPushButton[primary="true"] {{ background: {ACCENT}; border-color: {ACCENT}; color: white; font-weight: 600; }}
QPushButton[primary="true"]:hover {{ background: {ACCENT_HOVER}; }}
QPushButton[primary="true"]:pressed {{ background: #3f7cbd; }}
QPushButton[primary="true"]:focus {{ border-color: white; }}
QPushButton[primary="true"]:disabled {{ background: #37424e; border-color: #37424e; color: #8894a0; }}
QProgressBar {{ background: {FIELD}; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 3px; }}
QSlider::groove:horizontal {{ background: {FIELD}; height: 4px; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {ACCENT}; height: 4px; border-radius: 2px; }}
QSlider::sub-page:horizontal:disabled {{ background: {EDGE}; }}
QSlider::handle:horizontal {{ background: #d0d0d0; width: 12px; height: 12px; margin: -4px 0; border-radius: 6px; }}
QSlider::handle:horizontal:hover {{ background: white; }}
QSlider::handle:horizontal:disabled {{ background: {FAINT}; }}
QSlider:focus {{ background: transparent; }}
QListView {{ background: transparent; border: none; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{ background: #555; border-radius: 4px; margin: 1px; min-width: 28px; min-height: 28px; }}
QScrollBar::handle:hover {{ background: #6a6a6a; }}
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{
    background: none; border: none; width: 0; height: 0; }}
QCheckBox {{ spacing: 7px; }}
QCheckBox::indicator {{ width: 15px; height: 15px; background: {FIELD}; border: 1px solid {FAINT};
    border-radius: 3px; }}
QCheckBox::indicator:hover, QCheckBox::indicator:focus {{ border-color: {ACCENT}; }}
QCheckBox::indicator:checked {{ background: {ACCENT}; border-color: {ACCENT}; image: url(CHECK); }}
QCheckBox::indicator:disabled {{ border-color: {EDGE}; }}
QTabWidget::pane {{ border: 1px solid {EDGE}; border-radius: 4px; background: {PANEL}; top: -1px; }}
QTabBar::tab {{ background: transparent; color: {QUIET}; padding: 7px 16px; border: none;
    border-bottom: 2px solid transparent; }}
QTabBar::tab:selected {{ color: {TEXT}; border-bottom-color: {ACCENT}; }}
QTabBar::tab:hover, QTabBar::tab:focus {{ color: {TEXT}; }}
QTableView {{ background: {FIELD}; border: 1px solid {EDGE}; border-radius: 4px; }}
QTableView::item {{ padding-left: 8px; }}
QHeaderView::section {{ background: {PANEL}; color: {QUIET}; border: none; padding: 6px 11px; text-align: left; }}
"""


def apply_theme(app: QApplication) -> None:
    """Give the whole application its palette, style sheet and text size."""
    app.setStyle("Fusion")
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: WINDOW,
        QPalette.ColorRole.WindowText: TEXT,
        QPalette.ColorRole.Base: FIELD,
        QPalette.ColorRole.AlternateBase: PANEL,
        QPalette.ColorRole.Text: TEXT,
        QPalette.ColorRole.Button: PANEL,
        QPalette.ColorRole.ButtonText: TEXT,
        QPalette.ColorRole.ToolTipBase: "#111111",
        QPalette.ColorRole.ToolTipText: TEXT,
        QPalette.ColorRole.PlaceholderText: FAINT,
        QPalette.ColorRole.Highlight: ACCENT,
        QPalette.ColorRole.HighlightedText: "#ffffff",
        QPalette.ColorRole.Link: ACCENT_HOVER,
    }
    for role, color in roles.items():
        palette.setColor(role, QColor(color))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(FAINT))
    app.setPalette(palette)
    font = app.font()
    font.setPixelSize(13)
    app.setFont(font)
    style = _STYLE
    for mark, name in (("ARROW_DOWN", "chevron-down"), ("ARROW_UP", "chevron-up"), ("CHECK", "check")):
        style = style.replace(mark, icon_file(name).as_posix())
    app.setStyleSheet(style)
