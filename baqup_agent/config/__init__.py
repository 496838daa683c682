"""Configuration: variables, schema, coercion and typed settings (Contract §2)."""
