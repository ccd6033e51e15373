"""From the socket to the flow log: receiver, exporter sessions, pipeline, replay of captures."""
