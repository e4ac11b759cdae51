from tests.ui.window_fixtures import nothing_left_running, open_window, photo_file

__all__ = ["nothing_left_running", "open_window", "photo_file"]
