"""LocalStack without Docker, for a machine that has none: an executor that runs a function's `bootstrap` as a child process,
and DynamoDB on the engine that is built into `tidemark`. Chosen by `LAMBDA_RUNTIME_EXECUTOR=process`,
`PROVIDER_OVERRIDE_DYNAMODB=tidemark` and `PROVIDER_OVERRIDE_DYNAMODBSTREAMS=tidemark`."""
