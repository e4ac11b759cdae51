"""A preferences dialog over a window."""

from __future__ import annotations

import pytest

from app.ui.dialogs.preferences import Preferences


@pytest.fixture
def dialog(open_window, qtbot):
    window = open_window()
    preferences = Preferences(window.store.settings, window.actions_table, window)
    yield window, preferences
    preferences.deleteLater()
