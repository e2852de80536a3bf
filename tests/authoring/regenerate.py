"""Writes all goldens anew: python tests/authoring/regenerate.py."""

from __future__ import annotations

import logging

from golden_files import HERE, SOURCES, compile_to, golden_of

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    (HERE / "golden").mkdir(exist_ok=True)
    for old in (HERE / "golden").glob("*.yaml"):
        old.unlink()
    for source in SOURCES:
        compile_to(source, golden_of(source))
        logging.info("%s", golden_of(source).relative_to(HERE))
