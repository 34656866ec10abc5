"""What the server says of itself: the OpenAPI document of its routes, the AsyncAPI document of its frames."""
