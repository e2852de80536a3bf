"""Writes all goldens anew: python tests/authoring/regenerate.py [folder]."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from golden_files import HERE, SOURCES, compile_to, golden_of

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(sys.argv[1]) if sys.argv[1:] else HERE / "golden"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for source in SOURCES:
        target = folder / golden_of(source).name
        compile_to(source, target)
        logging.info("%s", target)
