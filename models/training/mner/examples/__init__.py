"""Complete small examples, for those who bring a model of their own (`docs/adding-a-model.md`)."""
