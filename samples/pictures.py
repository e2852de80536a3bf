"""Makes the gallery's pictures from runs of the samples: python samples/pictures.py [NAME ...].

It makes picture.png of the samples in `MAKERS`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

import matplotlib
import numpy as np
import skimage
from pachyderm_sdk.api import pfs
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

import kfp_pachyderm as pachyderm
from kfp_pachyderm.testing import Pachyderm

matplotlib.use("agg")
from matplotlib import pyplot

SAMPLES = Path(__file__).parent
PHOTOGRAPHS = ["chelsea.png", "coffee.png", "rocket.jpg"]
#: Pixels of a picture in a row.
SIZE = (240, 160)


def pipeline_of(name: str) -> ModuleType:
    """The module of the sample's pipeline.py."""
    spec = importlib.util.spec_from_file_location(f"sample_{name}", SAMPLES / name / "pipeline.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photographs() -> dict[str, bytes]:
    """Path → PNG of some photographs that scikit-image ships, made small."""
    found = {}
    for name in PHOTOGRAPHS:
        picture = Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")
        found[f"/{Path(name).stem}.png"] = encoded(ImageOps.fit(picture, SIZE))
    return found


def encoded(picture: Image.Image) -> bytes:
    """The picture as PNG."""
    content = io.BytesIO()
    picture.save(content, format="png", optimize=True)
    return content.getvalue()


def read(here: Pachyderm, commit: str, path: str) -> bytes:
    """The content of a file of a commit."""
    with here.client.pfs.pfs_file(pfs.File.from_uri(f"{commit}:{path}")) as file:
        return bytes(file.read())


def grid(rows: list[list[bytes]]) -> Image.Image:
    """One picture of many, in rows."""
    whole = Image.new("RGB", (SIZE[0] * len(rows[0]), SIZE[1] * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, content in enumerate(row):
            whole.paste(Image.open(io.BytesIO(content)).convert("RGB"), (x * SIZE[0], y * SIZE[1]))
    return whole


def save(name: str, picture: Image.Image) -> None:
    """Writes the sample's picture.png, in 128 colours, which do for a thumbnail."""
    few = picture.convert("RGB").quantize(128)
    (SAMPLES / name / "picture.png").write_bytes(encoded(few))


def edges(here: Pachyderm) -> None:
    """The montage itself."""
    here.put("vision/images", photographs())
    montage = read(here, pipeline_of("edges").edge_detection().output, "/montage.png")
    save("edges", ImageOps.contain(Image.open(io.BytesIO(montage)), (900, 900)))


def cross(here: Pachyderm) -> None:
    """The photographs, and below them what each filter made."""
    before, names = photographs(), ["edges", "contour"]
    here.put("studio/images", before)
    here.put("studio/filters", {"/edges.txt": "FIND_EDGES", "/contour.txt": "CONTOUR"})
    made = pipeline_of("cross").filters().output
    save(
        "cross",
        grid([list(before.values()), *([read(here, made, f"/{n}{p}") for p in before] for n in names)]),
    )


def existing(here: Pachyderm) -> None:
    """The photographs, and below them their edges."""
    before = photographs()
    here.put("images", before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the documentation's spelling, which the sample shows
        made = pipeline_of("existing").documented().output
    save("existing", grid([list(before.values()), [read(here, made, path) for path in before]]))


def minio(here: Pachyderm) -> None:
    """The most frequent words of this repository's README."""
    here.put("words/texts", {"/README.md": (SAMPLES.parent / "README.md").read_text()})
    pipeline_of("minio").word_count()
    counts = json.loads(read(here, "words/count-words@master", "/counts.json"))
    most = sorted(((count, word) for word, count in counts.items() if word.isalpha()), reverse=True)[:8]
    figure, axes = pyplot.subplots(figsize=(6, 3))
    axes.barh([word for _, word in most][::-1], [count for count, _ in most][::-1], color="steelblue")
    axes.set_title("counts.json: words of README.md")
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    save("minio", Image.open(drawn))


def digits(here: Pachyderm) -> None:
    """The plot of the model's mistakes."""
    data, text = load_digits(), io.BytesIO()
    np.savetxt(text, np.column_stack([data.data, data.target]), delimiter=",", fmt="%d")
    here.put("digits/scans", {"/digits.csv": text.getvalue()})
    plot = read(here, pipeline_of("digits").digits().output, "/confusion.png")
    save("digits", Image.open(io.BytesIO(plot)))


MAKERS = {one.__name__: one for one in (edges, cross, existing, minio, digits)}


def main(names: list[str]) -> None:
    """Makes the pictures of the named samples, or of all."""
    for name in names or MAKERS:
        folder = tempfile.mkdtemp(prefix="kfp-pachyderm-picture-")
        with pachyderm.local.init(folder) as here:
            MAKERS[name](Pachyderm(here))
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
