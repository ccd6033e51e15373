"""The plugin `print`: the same rows as lines of files or standard output."""
