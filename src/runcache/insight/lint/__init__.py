"""The cache steps of workflow files against the documented good practice."""
