"""Qt runs without a display unless the caller asks for one."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
