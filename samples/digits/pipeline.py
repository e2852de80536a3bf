"""Handwritten digits: prepare, train, evaluate. A model, a plot of its mistakes, and which data made them.

Run it here with `python samples/digits/run.py`; compile it for a cluster with
`kfp dsl compile --py samples/digits/pipeline.py --output digits.yaml`.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm

IMAGE = "python:3.11"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("scans")])
@dsl.component(base_image=IMAGE, packages_to_install=["boto3", "scikit-learn"])
def prepare(held_out: float = 0.25):
    """Joins all scans and holds some of them out for the evaluation.

    Args:
        held_out: Share of the digits that the model never sees.
    """
    import io

    import numpy as np
    from sklearn.model_selection import train_test_split

    from kfp_pachyderm.runtime import current_step

    s3 = current_step().boto3_client()
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="scans")["Contents"]]
    rows = np.vstack(
        [
            np.loadtxt(io.BytesIO(s3.get_object(Bucket="scans", Key=key)["Body"].read()), delimiter=",")
            for key in keys
        ]
    )
    # The last column is the digit, the others are its 8 x 8 pixels.
    train, test = train_test_split(rows, test_size=held_out, random_state=0, stratify=rows[:, -1])
    for name, part in (("train.npy", train), ("test.npy", test)):
        content = io.BytesIO()
        np.save(content, part)
        s3.put_object(Bucket="out", Key=name, Body=content.getvalue())
    print(f"{len(train)} digits to learn from, {len(test)} held out, from {len(keys)} files")


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("prepare")])
@dsl.component(base_image=IMAGE, packages_to_install=["boto3", "scikit-learn"])
def train(gamma: float = 0.001):
    """Fits a support vector machine.

    Args:
        gamma: Width of its kernel.
    """
    import io

    import joblib
    import numpy as np
    from sklearn.svm import SVC

    from kfp_pachyderm.runtime import current_step

    s3 = current_step().boto3_client()
    rows = np.load(io.BytesIO(s3.get_object(Bucket="prepare", Key="train.npy")["Body"].read()))
    model = io.BytesIO()
    joblib.dump(SVC(gamma=gamma).fit(rows[:, :-1], rows[:, -1]), model)
    s3.put_object(Bucket="out", Key="model.joblib", Body=model.getvalue())


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("prepare"), pachyderm.S3Input("train")])
@dsl.component(base_image=IMAGE, packages_to_install=["boto3", "scikit-learn", "matplotlib"])
def evaluate() -> float:
    """Draws what the model takes for what, and returns the share that it gets right."""
    import io

    import joblib
    import matplotlib
    import numpy as np

    matplotlib.use("agg")
    from sklearn.metrics import ConfusionMatrixDisplay

    from kfp_pachyderm.runtime import current_step

    s3 = current_step().boto3_client()

    def read(bucket: str, key: str):
        return io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    rows, model = np.load(read("prepare", "test.npy")), joblib.load(read("train", "model.joblib"))
    guessed, right = model.predict(rows[:, :-1]), rows[:, -1]
    accuracy = float(np.mean(guessed == right))
    plot = io.BytesIO()
    drawn = ConfusionMatrixDisplay.from_predictions(right.astype(int), guessed.astype(int), cmap="Blues")
    drawn.ax_.set_title(f"{accuracy:.1%} of {len(right)} digits right")
    drawn.figure_.savefig(plot, format="png", dpi=100)
    s3.put_object(Bucket="out", Key="confusion.png", Body=plot.getvalue())
    return accuracy


@dsl.pipeline(name="digits")
@pachyderm.pipeline(project="digits")
def digits(gamma: float = 0.001) -> str:
    """From scans to a model and its evaluation; returns the evaluation's commit."""
    prepared = prepare()
    trained = train(prepare=prepared.outputs["commit"], gamma=gamma)
    evaluated = evaluate(prepare=prepared.outputs["commit"], train=trained.outputs["commit"])
    return evaluated.outputs["commit"]
