from tests.cli.command_line import command_line, tiny_checkpoint
from tests.helpers import one_thread

__all__ = ["command_line", "one_thread", "tiny_checkpoint"]
