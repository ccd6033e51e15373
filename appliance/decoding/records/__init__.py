"""Data Records of one layout, decoded together."""
