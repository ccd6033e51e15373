"""Flows in ClickHouse, for more than one machine holds: several collectors write into one cluster.

`http` talks to servers, `schema` says which tables there are.
"""
