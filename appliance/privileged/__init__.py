"""The few acts that need root: changing the network, restart, power-off, the collector's unit.

`helper` runs as root and does nothing else; `client` asks it. Everything here but `client` imports
only the standard library and its neighbours, so that nothing else runs as root: no settings, no
plugins, no third-party package.
"""
