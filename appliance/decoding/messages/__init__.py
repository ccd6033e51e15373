"""Datagrams, their message headers and Sets."""
