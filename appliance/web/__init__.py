"""The web server: routes of plugins behind one guard, on every listener that is configured.

`application.build_web` makes the WSGI application, `servers.WebServer` runs it. What handlers may
ask for stands in `calls`.
"""
