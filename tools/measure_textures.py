"""Measure textures on photos that nobody trained on: `python tools/measure_textures.py --count 60`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.evaluation.cases import cases  # noqa: E402
from models.evaluation.evaluate import BACKBONE, LABELLER  # noqa: E402
from models.evaluation.judges import Judge, Labeller, OwnSegmenter, group_table  # noqa: E402
from models.evaluation.metrics import Eye  # noqa: E402
from models.evaluation.textures import texture_rows  # noqa: E402
from models.opening import open_editor  # noqa: E402
from models.training.data.pairs import DataSet  # noqa: E402

SHARED = ROOT.parent / "shared"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "landscape-512-eval", help="to measure with")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="default: the one that ships")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    editor = open_editor(options.checkpoint, "cpu")
    data = DataSet.open([SHARED / "data" / "landscape-256"], [options.data], known=len(editor.label_set))
    judge: Judge = OwnSegmenter(editor)
    try:
        judge = Labeller(SHARED / "parts" / LABELLER)
    except ImportError:
        print("the labeller needs ai-edge-litert; our own segmenter judges instead", file=sys.stderr)
    found = [case for case in cases(DataSet((), data.val), 512, options.count)]
    eye, table = Eye(SHARED / "parts" / BACKBONE), group_table(editor.label_set)
    rows = texture_rows(editor, found, eye, judge, table, 512, options.samples, lambda s: print(s, file=sys.stderr))
    for row in rows:
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
