"""Scenebrush, the editor and its command line."""

import os

# Before torch loads: threads that wait must not spin. Beside other programs spinning threads made a drawing of four
# seconds take minutes (docs/performance.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
