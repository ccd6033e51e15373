"""Backups: what the core and the plugins keep, in one archive with a manifest, and back again."""
