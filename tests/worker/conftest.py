from tests.ui.window_fixtures import nothing_left_running

__all__ = ["nothing_left_running"]
