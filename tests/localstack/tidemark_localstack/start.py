"""What LocalStack has no settings for, set when it starts."""

import pathlib
import tempfile

from localstack.runtime import hooks

LOOK_EVERY_S = 0.2


@hooks.on_infra_start()
def look_more_often() -> None:
    """While it deploys it looks every five seconds whether a resource is there, and a function takes two looks. With nine functions that
    is most of a deployment's time."""
    from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor

    patient = ResourceProviderExecutor.deploy_loop

    def deploy_loop(self, *arguments, **named):
        return patient(self, *arguments, **{"sleep_time": LOOK_EVERY_S, **named})

    ResourceProviderExecutor.deploy_loop = deploy_loop


@hooks.on_infra_start()
def keep_objects_apart() -> None:
    """It keeps all objects in one folder of `/tmp`, whatever `TMPDIR` says: two at once would share it, and it would stay."""
    from localstack.services.s3 import provider

    provider.DEFAULT_S3_TMP_DIR = str(pathlib.Path(tempfile.gettempdir(), "localstack-s3-storage"))
