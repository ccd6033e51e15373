"""Questions about flows beyond the published APIs': any filter, any dimensions, any range."""
