"""The prefixes of the temporary folders that this package makes."""

from __future__ import annotations

#: A step's folder: it holds what the command writes, until Pachyderm has it.
STEP = "kfp-pachyderm-step-"
#: The folder in which the bootstrap installs the launcher; the bootstrap's text has it, too.
LAUNCHER = "kfp-pachyderm-launcher-"
#: The folder of the step that `doctor --run` tries.
DOCTOR = "kfp-pachyderm-doctor-"
