"""Changes values for which LocalStack has no settings, when it starts."""

import pathlib
import tempfile

from localstack.runtime import hooks

POLL_INTERVAL_S = 0.2


@hooks.on_infra_start()
def shorten_polling() -> None:
    """Shortens the polling of a deployment.

    LocalStack polls every five seconds whether a resource exists, and a function requires two
    polls. With ten functions, most of the deployment's time is waiting.
    """
    from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor

    original = ResourceProviderExecutor.deploy_loop

    def deploy_loop(self, *arguments, **named):
        return original(self, *arguments, **{"sleep_time": POLL_INTERVAL_S, **named})

    ResourceProviderExecutor.deploy_loop = deploy_loop


@hooks.on_infra_start()
def separate_object_folders() -> None:
    """Stores objects below `TMPDIR`.

    LocalStack ignores `TMPDIR` and stores all objects in one folder of `/tmp`, which concurrent
    instances would share, and which would remain.
    """
    from localstack.services.s3 import provider

    provider.DEFAULT_S3_TMP_DIR = str(pathlib.Path(tempfile.gettempdir(), "localstack-s3-storage"))
