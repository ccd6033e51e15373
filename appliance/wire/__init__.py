"""Pure decoding, octets in and arrays out: no socket, clock, file or log is touched in here."""
