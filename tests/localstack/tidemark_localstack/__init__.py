"""Plugins that run LocalStack without Docker.

They contain an executor that runs a function's `bootstrap` as a child process, and DynamoDB on the
engine of the local runner (`tidemark`). They are enabled by `LAMBDA_RUNTIME_EXECUTOR=process`,
`PROVIDER_OVERRIDE_DYNAMODB=tidemark` and `PROVIDER_OVERRIDE_DYNAMODBSTREAMS=tidemark`.
"""
