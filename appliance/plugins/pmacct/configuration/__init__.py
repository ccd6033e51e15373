"""nfacctd's configuration language: keys, plugins, primitives, and what counts of a file."""
