"""One release: everything that people install, made from one commit, with digests."""
