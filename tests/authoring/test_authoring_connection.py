"""A compiled pipeline refers to the Connection's Secrets, or to the namespace's optional default."""

import inspect
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl, kubernetes

import kfp_pachyderm as pachyderm
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE
from kfp_pachyderm.launcher.config import COMPILED_VARIABLE
from kfp_pachyderm.pachd.connection.address import CA_FILE, TOKEN_FILE


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look() -> str:
    return ""


@pytest.fixture
def compiled(tmp_path: Any) -> Any:
    """The pipeline's own part of the YAML, and the Kubernetes settings of each executor, by a connection."""

    def of(connection: pachyderm.Connection | None) -> tuple[dict[str, Any], dict[str, Any]]:
        @dsl.pipeline(name="run")
        @pachyderm.pipeline(connection=connection)
        def run():
            look()

        file = str(tmp_path / "run.yaml")
        compiler.Compiler().compile(run, file)
        with open(file) as text:
            pipeline, *platforms = yaml.safe_load_all(text)
        found = platforms[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if platforms else {}
        return pipeline, {name.removeprefix("exec-"): settings for name, settings in found.items()}

    return of


def references(settings: dict[str, Any]) -> set[tuple[str, str, str, bool]]:
    """Returns for each reference: kind, object, key or mount path, whether it may be missing."""
    found = set()
    for kind, ones in settings.items():
        for one in ones:
            name = one["configMapName"] if kind.startswith("configMap") else one["secretName"]
            keys = [pair["envVar"] for pair in one.get("keyToEnv", ())] or [one["mountPath"]]
            found |= {(kind, name, key, one.get("optional", False)) for key in keys}
    return found


ADDRESS = ("configMapAsEnv", "kfp-pachyderm", "KFP_PACHYDERM_ADDRESS", True)
IMAGE = ("configMapAsEnv", "kfp-pachyderm", "KFP_PACHYDERM_HOLDER_IMAGE", True)
AUTHORITY = ("configMapAsVolume", "kfp-pachyderm", "/kfp-pachyderm/ca", True)
TOKEN = ("secretAsEnv", "kfp-pachyderm", "KFP_PACHYDERM_TOKEN", True)
LINEAGE = ("secretAsEnv", "kfp-pachyderm", "KFP_PACHYDERM_OPENLINEAGE_AUTH", True)
BESIDE_OWN_TOKEN = {LINEAGE}
OWN_AUTHORITY = OWN_BESIDE_DEFAULT = ("secretAsVolume", "mine", "/kfp-pachyderm/ca", False)
if "optional" not in inspect.signature(kubernetes.use_secret_as_env).parameters:  # kfp-kubernetes 2.14
    ADDRESS, IMAGE, TOKEN = (
        AUTHORITY,
        AUTHORITY,
        ("secretAsVolume", "kfp-pachyderm", TOKEN_FILE.rpartition("/")[0], True),
    )
    OWN_BESIDE_DEFAULT = ("secretAsVolume", "mine", "/kfp-pachyderm/ca-own", False)
    LINEAGE, BESIDE_OWN_TOKEN = TOKEN, set()
OWN_TOKEN = ("secretAsEnv", "mine", "KFP_PACHYDERM_TOKEN", False)


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (None, {ADDRESS, IMAGE, AUTHORITY, TOKEN, LINEAGE}),
        (pachyderm.Connection(), {ADDRESS, IMAGE, AUTHORITY, TOKEN, LINEAGE}),
        (
            pachyderm.Connection(token_secret="mine"),
            {ADDRESS, IMAGE, AUTHORITY, OWN_TOKEN} | BESIDE_OWN_TOKEN,
        ),
        (pachyderm.Connection(ca_secret="mine"), {ADDRESS, IMAGE, OWN_BESIDE_DEFAULT, TOKEN, LINEAGE}),
        (pachyderm.Connection("grpc://there:30650", token_secret="mine"), {OWN_TOKEN}),
        (pachyderm.Connection("grpcs://there:30650", ca_secret="mine"), {OWN_AUTHORITY}),
    ],
)
def test_what_is_not_given_is_the_namespaces_default(compiled: Any, connection: Any, expected: Any) -> None:
    _, settings = compiled(connection)
    assert set(settings) == {"look", "pachyderm-snapshot"}
    assert [references(one) for one in settings.values()] == [expected, expected]
    assert AUTHORITY[2] == CA_FILE.rpartition("/")[0]


def test_nothing_of_the_namespace_goes_to_an_address_of_the_authors(compiled: Any) -> None:
    _, settings = compiled(pachyderm.Connection("grpc://there:30650"))
    assert not any(settings.values())


def test_default_is_no_part_of_the_cache_key(compiled: Any) -> None:
    # KFP makes it of command, image, inputs, outputs and PVC names (backend/src/v2/cacheutils/cache.go).
    pipeline, _ = compiled(None)
    for executor in pipeline["deploymentSpec"]["executors"].values():
        assert {one["name"] for one in executor["container"]["env"]} <= {PACKAGE_VARIABLE, COMPILED_VARIABLE}
    assert "KFP_PACHYDERM_ADDRESS" not in yaml.safe_dump(pipeline["components"])
    assert compiled(pachyderm.Connection())[0] == pipeline


def test_an_authority_of_its_own_hides_no_mounted_default(
    compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With kfp 2.14: the default's token must not go to another address than the default's."""
    monkeypatch.setattr("kfp_pachyderm.authoring.task_connection._OPTIONAL", False)
    _, settings = compiled(pachyderm.Connection(ca_secret="private/root.pem"))
    look = settings["look"]
    assert [one["mountPath"] for one in look["configMapAsVolume"]] == ["/kfp-pachyderm/ca"]
    paths = {one["secretName"]: one["mountPath"] for one in look["secretAsVolume"]}
    assert set(paths) == {"kfp-pachyderm", "private"}
    assert len({"/kfp-pachyderm/ca", *paths.values()}) == 3
