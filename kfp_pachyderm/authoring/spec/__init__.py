"""The arguments of a step as models, which check Pachyderm's rules when the component is built."""

from __future__ import annotations

from kfp_pachyderm.authoring.spec.connection import Connection
from kfp_pachyderm.authoring.spec.holder import HolderOptions
from kfp_pachyderm.authoring.spec.inputs import FileInput, S3Input
from kfp_pachyderm.authoring.spec.pipeline_spec import PipelineSpec

__all__ = ["Connection", "FileInput", "HolderOptions", "PipelineSpec", "S3Input"]
