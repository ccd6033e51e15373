"""Messages that come over connections: TCP, and TLS over it (RFC 7011 section 10.4)."""
