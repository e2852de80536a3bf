"""An existing Pachyderm pipeline, run from KFP and not changed; nothing of kfp-pachyderm is imported.

`test` is Pachyderm's documented S3-enabled pipeline (spec.json), created there by its owner:
`pachctl create pipeline -f spec.json`, with "s3": true and "repo": "images", since Pachyderm refuses the
documentation's spelling. Without a clone, load the components by load_component_from_url.
"""

from pathlib import Path

from kfp import components, dsl

COMPONENTS = Path(__file__).parents[2] / "components"
resolve = components.load_component_from_file(str(COMPONENTS / "commit" / "resolve" / "component.yaml"))
run = components.load_component_from_file(str(COMPONENTS / "s3_pipeline" / "run" / "component.yaml"))


@dsl.pipeline(name="in-place")
def in_place(images: str = "images@master") -> str:
    """Waits for the job of `test` on a commit of `images`; returns the commit that the job made."""
    pinned = resolve(reference=images)
    pinned.set_caching_options(False)  # the branch moves, the commit does not
    ran = run(pipeline="test", inputs={"images": pinned.outputs["commit"]})
    return ran.outputs["commit"]
