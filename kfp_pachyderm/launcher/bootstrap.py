"""How the launcher gets into a step's container: a constant text for `python3 -c`, standard library only.

The text is part of the component's command, and so of KFP's cache key: change it only when you must. It may
hold none of `python3` (kfp.local replaces it by the interpreter's path), `{{` (Argo) and `$` (Kubernetes).
"""

from __future__ import annotations

BOOTSTRAP = """\
import os, sys
ours = os.environ.get("KFP_PACHYDERM_PYTHON")
if ours:
    os.execv(ours, [ours, "-m", "kfp_pachyderm.launcher", *sys.argv[1:]])
import importlib.util, shutil, subprocess, tempfile
def has(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
def run():
    from kfp_pachyderm.launcher.__main__ import main
    return main(sys.argv[1:])
def install(folder):
    package = os.environ.get("KFP_PACHYDERM_PACKAGE") or "kfp-pachyderm"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
           "--no-warn-script-location", "--target", folder]
    for more in (["pachyderm-sdk>=2.12,<3", "cheroot>=10,<12", "anycrc>=2,<3"], ["--no-deps", package]):
        if subprocess.call(pip + more, stdout=sys.stderr):
            sys.exit("[kfp-pachyderm] cannot install the launcher by pip of " + sys.executable + ": put "
                     "kfp-pachyderm into the image, or name a Python that has it in KFP_PACHYDERM_PYTHON")
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
if all(map(has, ("kfp_pachyderm.launcher", "pachyderm_sdk", "grpc", "cheroot"))):
    sys.exit(run())
folder = tempfile.mkdtemp(prefix="kfp-pachyderm-launcher-")
try:
    install(folder)
    code = run()
finally:
    shutil.rmtree(folder, ignore_errors=True)
sys.exit(code)
"""
