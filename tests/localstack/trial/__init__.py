"""One trial of the whole deployment: build, LocalStack, `sam deploy`, the stories, and everything taken down again."""
