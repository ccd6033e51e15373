"""Datagrams for the collector: out of captures, sent again, or invented."""
