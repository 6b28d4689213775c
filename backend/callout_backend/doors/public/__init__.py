"""The public REST API, for other systems: orders, timelines, imports, exports. `describe` makes its OpenAPI document."""
