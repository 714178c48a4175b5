"""What a deployed Tidemark does for a device's day, seen from outside: the API, and the services that its operators see. Everything
is found through the stack's outputs, so it matters to no story where the stack is."""
