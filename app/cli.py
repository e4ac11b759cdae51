"""The command line: `main.py [PHOTO]` opens the editor, the subcommands run without a window.

Expected errors are one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from app.arguments import png_file, report_file, whole
from app.engineering import (
    bench_command,
    convert_command,
    evaluate_command,
    parity_command,
    train_command,
    train_options,
    use_threads,
)
from models.errors import RequestError, ScenebrushError

COMMANDS = ("edit", "labels", "segment", "convert", "parity", "bench", "train", "evaluate")


class _Parser(argparse.ArgumentParser):
    """Errors in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        print(f"scenebrush: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given and given[0] in COMMANDS:
            options = _command_parser().parse_args(given)
            action: Callable[[argparse.Namespace], int] = options.action
            return action(options)
        return _open_editor(_editor_parser().parse_args(given))
    except ScenebrushError as error:
        print(f"scenebrush: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scenebrush: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


# --- parsers ---------------------------------------------------------------------------------------------


def _editor_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scenebrush",
        description="Paint what should be there over a landscape photo.",
        epilog=f"Without a window: scenebrush {{{','.join(COMMANDS)}}} --help",
    )
    parser.add_argument("photo", nargs="?", type=Path, help="photo to open (a sample photo without it)")
    _common(parser)
    return parser


def _common(parser: argparse.ArgumentParser, device: bool = True) -> None:
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder (default: the one that ships)")
    if device:  # `evaluate` works on the CPU only
        parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=whole(1), help="CPU threads")


def _command_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="scenebrush", description="Scenebrush without a window.")
    commands = parser.add_subparsers(required=True, parser_class=_Parser)

    def command(name: str, text: str, action: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(action=action)
        return made

    _edit_options(command("edit", "Edit a photo: candidates, contact sheet and edit.json into a folder.", _edit))
    _common(command("labels", "List the labels of a checkpoint.", _labels))
    made = command("segment", "Write the suggested label map of a photo.", _segment)
    made.add_argument("photo", type=Path)
    made.add_argument("--out", type=png_file, required=True, metavar="MAP.png")
    _common(made)
    made = command("convert", "Convert published .ckpt files into a checkpoint folder.", convert_command)
    made.add_argument("sga", type=Path, metavar="SGA.ckpt")
    made.add_argument("guiding", type=Path, metavar="GUIDING.ckpt")
    made.add_argument("--config", required=True, help="asset-landscape-1024, asset-coco-512, or a JSON file")
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
    made = command(
        "parity",
        "Compare our code with a fixture of published results, of four systems.",
        parity_command,
    )
    made.add_argument("fixture", type=Path, metavar="DIR")
    made.add_argument("--json", type=report_file, metavar="FILE")
    made = command("bench", "Measure the sampler on the CPU, and whole edits on --device.", bench_command)
    made.add_argument("--json", type=report_file, metavar="FILE")
    made.add_argument("--published-size", action="store_true", help="also a random model of the published size")
    made.add_argument("--tokens", type=whole(1), default=24, help="tokens to draw in each measurement")
    _common(made)
    train_options(command("train", "Train one stage, all of them, or export a checkpoint.", train_command))
    what = "Measure a checkpoint on validation photos, beside baselines and ablations."
    made = command("evaluate", what, evaluate_command)
    made.add_argument("data", type=Path, nargs="+", metavar="DATA", help="folders with photo + label-map pairs")
    made.add_argument(
        "--unseen", type=Path, action="append", default=[], metavar="DIR", help="more pairs, none of them trained on"
    )
    made.add_argument(
        "--count", type=whole(1), default=60, help="photos at 256 px (a fifth of them at the largest size)"
    )
    made.add_argument(
        "--samples", type=whole(1), default=4, help="candidates drawn of each; the most likely one counts"
    )
    made.add_argument("--parts", type=Path, help="folder of the perceptual backbone and the labeller")
    made.add_argument("--json", type=report_file, metavar="FILE")
    made.add_argument(
        "--sheet", type=png_file, metavar="FILE.png", help="contact sheet of edits (for your eyes: licences!)"
    )
    _common(made, device=False)
    return parser


def _edit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path)
    parser.add_argument("--mask", type=Path, metavar="MASK.png", help="paint --label where this is non-zero")
    parser.add_argument("--label", metavar="NAME", help="or `surroundings`: what is under the mask is taken away")
    parser.add_argument("--paint", type=Path, metavar="PAINT.png", help="label indices; 255 = not painted")
    parser.add_argument("--labels", type=Path, metavar="MAP.png", help="label map of the photo (default: suggested)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--keep", type=int, help="keep the N most likely candidates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, metavar="T", help="lower: plainer, higher: rougher (default 1.3)")
    parser.add_argument("--top-k", type=int, help="draw from the K most likely tokens (default 300)")
    parser.add_argument("--label-strength", type=float, metavar="S", help="1 (as learned) to 10 (default 1.5)")
    parser.add_argument("--sketch-strength", type=float, metavar="S", help="how closely 512 follows 256 (default 0.4)")
    parser.add_argument("--outline", type=float, metavar="A", help="0: as painted, 1: natural (default), up to 4")
    parser.add_argument(
        "--texture", metavar="T", default="auto",
        help="what texture is made of: auto (default: what suits the label), drawn (the model's own), photo (this "
        "photo's), library (other photographs), or a path: another photo, or a folder of photos, to take it from",
    )  # fmt: skip
    parser.add_argument("--no-grain", action="store_true", help="leave the photo's grain out of the edit")
    parser.add_argument("--draft", action="store_true", help="only the guide's quick sketches at 256")
    parser.add_argument("--window", choices=("auto", "256", "512", "1024"), default="auto")
    parser.add_argument("--quiet", action="store_true")
    _common(parser)


# --- commands --------------------------------------------------------------------------------------------


def _open_editor(options: argparse.Namespace) -> int:
    use_threads(options)
    if not _has_display():
        if options.photo is not None:
            raise RequestError(f"there is no display to open {options.photo} in; see `scenebrush edit --help`")
        return _edit_sample(options)
    from app.ui.app import run_editor

    return run_editor(options.photo, options.checkpoint, options.device)


def _has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM"))


def _edit_sample(options: argparse.Namespace) -> int:
    """Without a display: edit the sample photo into ./scenebrush-sample and say where the pictures are."""
    sample = Path(__file__).resolve().parent.parent / "resources" / "sample"
    print("scenebrush: there is no display, so no window can open; editing the sample photo instead", file=sys.stderr)
    out = Path.cwd() / "scenebrush-sample"
    photo = next(iter(sorted(sample.glob("*.jpg"))), None)
    if photo is None:
        raise RequestError(f"{sample}: the sample photo is missing; use `scenebrush edit PHOTO …`")
    arguments = ["edit", str(photo), "--paint", str(photo.with_suffix(".paint.png")), "--out", str(out)]
    arguments += ["--labels", str(photo.with_suffix(".png")), "--device", options.device]
    if options.checkpoint is not None:
        arguments += ["--checkpoint", str(options.checkpoint)]
    code = main(arguments)
    if code == 0:
        print(f"The pictures are in {out} (look at contact-sheet.png first).")
    return code


def _edit(options: argparse.Namespace) -> int:
    if (options.paint is None) == (options.mask is None):
        raise RequestError("give either --mask MASK.png with --label NAME, or --paint PAINT.png")
    if options.mask is not None and options.label is None:
        raise RequestError("--mask needs --label NAME, the label to paint; see `scenebrush labels`")
    use_threads(options)
    from app.headless import EditFiles, edit
    from app.progress_bar import ProgressBar
    from models.request import TEXTURES, USUAL

    named = ("temperature", "top_k", "label_strength", "sketch_strength", "outline")
    asked = {name: getattr(options, name) for name in named}
    reference = None if options.texture in TEXTURES else Path(options.texture)
    settings = replace(
        USUAL,
        samples=options.samples,
        keep=options.keep,
        seed=options.seed,
        texture="reference" if reference else options.texture,
        grain=not options.no_grain,
        **{name: value for name, value in asked.items() if value is not None},
    )
    files = EditFiles(options.photo, options.out, options.mask, options.label, options.paint, options.labels, reference)
    window = None if options.window == "auto" else int(options.window)
    with ProgressBar(options.samples, shown=not options.quiet) as bar:
        notify = (lambda _: None) if options.quiet else (lambda line: print(line, file=sys.stderr))
        kept = edit(files, settings, window, lambda: _engine(options), bar.update, notify, options.draft)
    if not options.quiet:
        best = kept[0]
        print(f"{len(kept)} candidates in {options.out}, best {best.nats_per_token:.3f} nats per token")
    return 0


def _engine(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    from models.opening import open_editor

    return open_editor(options.checkpoint, options.device)


def _labels(options: argparse.Namespace) -> int:
    from models.checkpoints.read import default_checkpoint_folder, read_label_set

    label_set = read_label_set(options.checkpoint or default_checkpoint_folder())
    for index, label in enumerate(label_set.labels):
        rare = "  (rare in the training photos)" if label.rare else ""
        print(f"{index:3d}  {label.name:<20} #{label.color[0]:02x}{label.color[1]:02x}{label.color[2]:02x}{rare}")
    return 0


def _segment(options: argparse.Namespace) -> int:
    use_threads(options)
    import numpy as np

    from app.io.pictures.maps import save_index_map
    from app.io.pictures.photo import load_photo

    photo = load_photo(options.photo)
    engine = _engine(options)
    if not engine.can_suggest:
        raise RequestError("this checkpoint has no segmenter; use one that has, as the default one")
    colors = np.array([label.color for label in engine.label_set.labels], np.uint8)
    save_index_map(options.out, engine.suggest_labels(photo.screen_colors.convert(photo.rgb8)), colors)
    return 0
