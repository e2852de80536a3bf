"""How the launcher gets into a step's container: constant texts for `sh -c` and `python3 -c`.

The texts are part of the component's command, and so of KFP's cache key: change them only when you must. What
changes with a release is not in them: the launcher's version comes by the environment, which is in no cache
key (KFP backend/src/v2/cacheutils/cache.go), and its dependencies stand in the installed package's metadata.

They hold neither `{{` (Argo) nor `$(` (Kubernetes). kfp.local replaces `python3` by its interpreter's path,
which is right in GUARD; BOOTSTRAP has none.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from kfp_pachyderm.private_folders import LAUNCHER

#: Arguments of `pip install` where the image has no launcher, the launcher's own requirement last.
PACKAGE_VARIABLE = "KFP_PACHYDERM_PACKAGE"

#: Says what the image lacks where Python itself can't. A named interpreter it starts at once: BOOTSTRAP's own
#: would only start that one.
GUARD = """\
[ -z "${KFP_PACHYDERM_PYTHON:-}" ] || exec "$KFP_PACHYDERM_PYTHON" -P -m kfp_pachyderm.launcher "$@"
command -v python3 >/dev/null || {
  echo "[kfp-pachyderm] this image has no python3, which every S3-enabled step needs: add it to the image" \\
    "(Debian: apt-get install python3 python3-pip, Alpine: apk add python3 py3-pip)" >&2
  exit 127
}
exec python3 -c "$0" "$@"
"""

BOOTSTRAP = """\
import os, sys
ours = os.environ.get("KFP_PACHYDERM_PYTHON")
if ours:
    os.execv(ours, [ours, "-P", "-m", "kfp_pachyderm.launcher", *sys.argv[1:]])
# The working folder is the user's: its modules must not stand before the standard library's.
sys.path[:] = filter(None, sys.path)
import glob, importlib.util, subprocess, tempfile
*source, package = (os.environ.get("KFP_PACHYDERM_PACKAGE") or "kfp-pachyderm").split()
wheels = [one for one in source if os.path.isabs(one)]
def end(why):
    sys.exit("[kfp-pachyderm] " + why)
def pip():
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    for one in wheels:
        for wheel in glob.glob(one + "/pip-*.whl"):
            return [sys.executable, wheel + "/pip"]
    if subprocess.call([sys.executable, "-m", "venv", folder + "/pip"], stdout=sys.stderr):
        end("the Python of this image, " + sys.executable + ", has no pip to install the launcher with: add "
            "pip or kfp-pachyderm to the image, or pip's wheel to Connection(package=<folder of wheels>)")
    return [folder + "/pip/bin/python", "-m", "pip"]
def install(*what):
    command = [*pip(), "install", "-qq", "--no-input", "--no-compile", "--target", folder, *source, *what]
    # What the image tells pip is for the user's environment.
    told = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_PREFIX": "", "PIP_CONSTRAINT": "",
            "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if subprocess.call(command, stdout=sys.stderr, cwd=folder, env={**os.environ, **told}):
        end("the launcher can't be installed for " + sys.executable + ", Python " + sys.version.split()[0]
            + "; pip says why above. Put kfp-pachyderm into the image, or name where it is: a package index, "
            "a wheel's address or a folder of wheels, by Connection(package=...)")
    importlib.invalidate_caches()
try:
    private = tempfile.TemporaryDirectory(prefix="@FOLDER@")
except OSError as error:
    end("a step needs a folder that it may write to: " + str(error) + ". Mount a volume at /tmp "
        "(kubernetes.empty_dir_mount), or name a folder by TMPDIR")
with private as folder:
    sys.path.insert(0, folder)
    missing = not importlib.util.find_spec("kfp_pachyderm")
    if missing:
        print("[kfp-pachyderm] installing the launcher:", *source, package, file=sys.stderr, flush=True)
        for one in wheels:
            if not os.path.isdir(one):
                end("this container has no folder " + one + ", which Connection(package=...) names: mount it "
                    "or put it into the image")
        install("--no-deps", package)
    from kfp_pachyderm.launcher.start import leave, start
    code = start(sys.argv[1:], install, missing)
leave(code)
""".replace("@FOLDER@", LAUNCHER)


def bootstrap_command(command: list[str]) -> list[str]:
    """What stands before the step's config.

    A component that starts Python itself needs no shell. Any other image is asked by its shell, which KFP's
    lightweight components need anyway: many images of container components have no `python3`.

    Args:
        command: the component's own command.
    """
    if PurePosixPath(command[0]).name.startswith("python"):
        return ["python3", "-c", BOOTSTRAP]
    return ["sh", "-c", GUARD, BOOTSTRAP]
