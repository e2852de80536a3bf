"""A training loop that streams its batches from the input bucket, in JAX and Optax.

The step keeps only a few batches in memory: it downloads the next objects while the model learns from the one
before.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("digits")])
@dsl.component(base_image="python:3.11", packages_to_install=["boto3", "jax", "optax", "matplotlib"])
def train(epochs: int = 12, rate: float = 0.005) -> float:
    """Fits a small network to handwritten digits; returns the share of the held-out ones that it gets right.

    Args:
        epochs: How often it sees each object of the bucket, but for the last, which is held out.
        rate: Learning rate.
    """
    import io
    import random
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

    import jax
    import jax.numpy as jnp
    import matplotlib
    import numpy as np
    import optax

    matplotlib.use("agg")
    from matplotlib import pyplot

    from kfp_pachyderm.runtime import current_step

    s3 = current_step().boto3_client()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="digits")
    *shards, held_out = sorted(one["Key"] for page in pages for one in page["Contents"])

    def read(key: str) -> tuple[np.ndarray, np.ndarray]:
        content = np.load(io.BytesIO(s3.get_object(Bucket="digits", Key=key)["Body"].read()))
        return content["pixels"] / np.float32(16), content["labels"]

    def batches(order: list[str], ahead: int = 3) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # Not more than a few are on their way, however many objects there are.
        with ThreadPoolExecutor(ahead) as pool:
            coming = [pool.submit(read, key) for key in order[:ahead]]
            for key in [*order[ahead:], *[None] * min(ahead, len(order))]:
                ready = coming.pop(0).result()
                if key is not None:
                    coming.append(pool.submit(read, key))
                yield ready

    def scores(weights, pixels):
        return jax.nn.relu(pixels @ weights["w1"] + weights["b1"]) @ weights["w2"] + weights["b2"]

    def loss(weights, pixels, labels):
        found = optax.softmax_cross_entropy_with_integer_labels(scores(weights, pixels), labels)
        return found.mean()

    optimizer = optax.adam(rate)

    @jax.jit
    def learn(weights, state, pixels, labels):
        value, gradients = jax.value_and_grad(loss)(weights, pixels, labels)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(weights, updates), state, value

    first, second = jax.random.split(jax.random.key(0))
    weights = {
        "w1": jax.random.normal(first, (64, 64)) / 8,
        "b1": jnp.zeros(64),
        "w2": jax.random.normal(second, (64, 10)) / 8,
        "b2": jnp.zeros(10),
    }
    state, losses, shuffled = optimizer.init(weights), [], random.Random(0)
    for epoch in range(epochs):
        shuffled.shuffle(shards)
        for pixels, labels in batches(shards):
            weights, state, value = learn(weights, state, pixels, labels)
            losses.append(float(value))
        print(f"epoch {epoch}: loss {losses[-1]:.3f}", flush=True)

    pixels, labels = read(held_out)
    accuracy = float((scores(weights, pixels).argmax(axis=1) == labels).mean())
    model, plot = io.BytesIO(), io.BytesIO()
    np.savez(model, **weights)
    figure, axes = pyplot.subplots(figsize=(6, 3), layout="constrained")
    axes.plot(losses)
    axes.set(
        xlabel="batch", ylabel="loss", title=f"{accuracy:.1%} of the held-out digits right", yscale="log"
    )
    figure.savefig(plot, format="png", dpi=100)
    s3.put_object(Bucket="out", Key="model.npz", Body=model.getvalue())
    s3.put_object(Bucket="out", Key="loss.png", Body=plot.getvalue())
    return accuracy


@dsl.pipeline(name="jax-digits")
@pachyderm.pipeline(project="jax")
def digits(epochs: int = 12, rate: float = 0.005) -> float:
    """Trains on the repo `digits`; returns the accuracy."""
    return train(epochs=epochs, rate=rate).output
