"""Shorter waits while LocalStack deploys: it looks every five seconds whether a resource is there, and a function takes two looks.
With eight functions that is most of a deployment's time."""

from localstack.runtime import hooks

LOOK_EVERY_S = 0.2


@hooks.on_infra_start()
def look_more_often() -> None:
    from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor

    patient = ResourceProviderExecutor.deploy_loop

    def deploy_loop(self, *arguments, **named):
        return patient(self, *arguments, **{"sleep_time": LOOK_EVERY_S, **named})

    ResourceProviderExecutor.deploy_loop = deploy_loop
