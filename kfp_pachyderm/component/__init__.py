"""A KFP component as an S3-enabled Pachyderm job: the decorator, its component, their tasks and IR."""

from kfp_pachyderm.component.decorator import s3_enabled

__all__ = ["s3_enabled"]
