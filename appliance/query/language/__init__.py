"""The filter language: texts such as `src ip 10.0.0.1 and port in [80,443]` made into a tree, and
the tree into SQL.
"""
