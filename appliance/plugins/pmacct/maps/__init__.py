"""The files of rules and networks that a configuration names: tags, sampling, AS numbers."""
