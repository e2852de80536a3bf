"""A grid search: split once, fit side by side in a loop, read all of it in one step that picks the winner.

Run it here with `python samples/fan/run.py`; compile it for a cluster with
`kfp dsl compile --py samples/fan/pipeline.py --output fan.yaml`.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm

IMAGE = "python:3.11"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("scans")])
@dsl.component(base_image=IMAGE, packages_to_install=["boto3", "scikit-learn"])
def split(held_out: float = 0.3):
    """Holds some of the digits out for the comparison.

    Args:
        held_out: Share of the digits that no model sees.
    """
    import io

    import numpy as np
    from sklearn.model_selection import train_test_split

    from kfp_pachyderm.runtime import current_step

    s3 = current_step().boto3_client()
    text = s3.get_object(Bucket="scans", Key="digits.csv")["Body"].read()
    rows = np.loadtxt(io.BytesIO(text), delimiter=",")
    # The last column is the digit, the others are its 8 x 8 pixels.
    parts = train_test_split(rows, test_size=held_out, random_state=0, stratify=rows[:, -1])
    for name, part in zip(("train.npy", "test.npy"), parts, strict=True):
        content = io.BytesIO()
        np.save(content, part)
        s3.put_object(Bucket="out", Key=name, Body=content.getvalue())


# Up to three of the loop's iterations run at once, each in a Pachyderm pipeline of its own.
@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("split")], concurrency=3)
@dsl.component(base_image=IMAGE, packages_to_install=["boto3", "scikit-learn"])
def fit(gamma: float):
    """Fits a support vector machine and says how many of the held out digits it gets right.

    Args:
        gamma: Width of its kernel.
    """
    import io
    import json

    import joblib
    import numpy as np
    from sklearn.svm import SVC

    from kfp_pachyderm.runtime import current_step

    s3 = current_step().boto3_client()

    def rows(key: str):
        return np.load(io.BytesIO(s3.get_object(Bucket="split", Key=key)["Body"].read()))

    train, test = rows("train.npy"), rows("test.npy")
    model, content = SVC(gamma=gamma).fit(train[:, :-1], train[:, -1]), io.BytesIO()
    joblib.dump(model, content)
    result = {"gamma": gamma, "right": model.score(test[:, :-1], test[:, -1])}
    s3.put_object(Bucket="out", Key="model.joblib", Body=content.getvalue())
    s3.put_object(Bucket="out", Key="result.json", Body=json.dumps(result).encode())


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("fit", many=True)])
@dsl.component(base_image=IMAGE, packages_to_install=["boto3", "matplotlib"])
def pick() -> float:
    """Keeps the best model, draws all of them, and returns the winner's gamma."""
    import io
    import json

    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    from kfp_pachyderm.runtime import current_step

    step = current_step()
    s3 = step.boto3_client()
    results = {}
    for name in step.inputs:  # "fit/0", "fit/1", ...: a bucket and a folder for each iteration of the loop
        bucket, folder = name.split("/")
        content = s3.get_object(Bucket=bucket, Key=f"{folder}/result.json")["Body"].read()
        results[folder] = json.loads(content)
    best = max(results, key=lambda folder: results[folder]["right"])
    s3.copy_object(
        Bucket="out", Key="model.joblib", CopySource={"Bucket": "fit", "Key": f"{best}/model.joblib"}
    )

    every = sorted((one["gamma"], one["right"]) for one in results.values())
    winner, plot = results[best], io.BytesIO()
    figure, axes = pyplot.subplots(figsize=(6, 3.5))
    axes.semilogx(*zip(*every, strict=True), marker="o", color="steelblue")
    axes.semilogx(winner["gamma"], winner["right"], "o", color="darkorange", markersize=12, fillstyle="none")
    axes.set(
        xlabel="gamma", ylabel="share right", title=f"{winner['right']:.1%} with gamma {winner['gamma']:g}"
    )
    figure.tight_layout()
    figure.savefig(plot, format="png", dpi=100)
    s3.put_object(Bucket="out", Key="grid.png", Body=plot.getvalue())
    return winner["gamma"]


@dsl.pipeline(name="fan")
@pachyderm.pipeline(project="fan")
def fan(gammas: list[float] = [0.00003, 0.0003, 0.001, 0.01, 0.1]) -> str:  # noqa: B006
    """From scans to the best of several models; returns the commit with it and the plot."""
    parts = split()
    with dsl.ParallelFor(gammas) as gamma:
        fitted = fit(gamma=gamma, split=parts.outputs["commit"])
    picked = pick(fit=dsl.Collected(fitted.outputs["commit"]))
    return picked.outputs["commit"]
