"""A trial of the whole deployment: build, LocalStack, `sam deploy`, scenarios, and cleanup."""
