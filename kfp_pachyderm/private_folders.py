"""How the folders begin that our processes make in the folder for temporary files."""

from __future__ import annotations

#: Of a step: what its command writes lies there until it is in Pachyderm.
STEP = "kfp-pachyderm-step-"
#: Of the bootstrap, which installs the launcher there; part of its text (`launcher/bootstrap.py`).
LAUNCHER = "kfp-pachyderm-launcher-"
#: Of a step that `doctor --run` tries.
DOCTOR = "kfp-pachyderm-doctor-"
